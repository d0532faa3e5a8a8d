package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is how a role, or the whole, is.
type Status string

// The statuses, from the best.
const (
	OK       Status = "ok"
	Degraded Status = "degraded" // it works, but something needs a look
	Down     Status = "down"     // nobody does this work
)

// worse gives the worse of two.
func worse(a, b Status) Status {
	order := []Status{OK, Degraded, Down}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// Report is how an installation's processes are, as one of them knows it.
type Report struct {
	Status  Status
	Reasons []string // why it is not ok; for administrators
	Roles   []RoleReport
}

// RoleReport is how a role is.
type RoleReport struct {
	Role      string
	Status    Status
	Reasons   []string
	Calls     int
	Capacity  int // of those that take new work
	Instances []State
}

// Report tells of these roles, which an installation needs, and of all others that are there.
func (f *Fleet) Report(needed ...string) Report {
	by := map[string][]State{}
	for _, s := range f.Instances("") {
		by[s.Role] = append(by[s.Role], s)
	}
	names := slices.Clone(needed)
	for role := range by {
		if !slices.Contains(names, role) {
			names = append(names, role)
		}
	}
	slices.Sort(names)
	roles := make([]RoleReport, 0, len(names))
	for _, role := range names {
		roles = append(roles, judge(role, by[role], f.c.TTL))
	}
	return sum(roles)
}

// Alone is the report of an installation of one process, which nobody sends to.
func Alone(self Instance) Report {
	return sum([]RoleReport{judge(self.Role, []State{{Instance: self, Breaker: Closed}}, TTL)})
}

func sum(roles []RoleReport) Report {
	r := Report{Status: OK, Roles: roles}
	for _, role := range roles {
		r.Status = worse(r.Status, role.Status)
		r.Reasons = append(r.Reasons, role.Reasons...)
	}
	return r
}

// judge says how a role is by its instances.
func judge(role string, is []State, ttl time.Duration) RoleReport {
	r := RoleReport{Role: role, Status: OK, Instances: is}
	say := func(s Status, format string, args ...any) {
		r.Status = worse(r.Status, s)
		r.Reasons = append(r.Reasons, role+": "+fmt.Sprintf(format, args...))
	}
	if len(is) == 0 {
		say(Down, "no process is running")
		return r
	}
	working := 0
	versions := map[string]bool{}
	for _, i := range is {
		r.Calls += i.Calls
		versions[i.Version] = true
		switch {
		case i.Breaker == Open:
			say(Degraded, "%s fails; requests are kept away from it", i.ID)
			continue
		case i.Breaker == HalfOpen:
			say(Degraded, "%s failed and is tried again", i.ID)
		case i.Age > ttl/2:
			say(Degraded, "%s was not heard for %s", i.ID, i.Age.Round(time.Second))
		}
		if !i.Draining {
			working++
			r.Capacity += i.Capacity
		}
	}
	switch {
	case working == 0:
		say(Down, "no process takes new work")
	case r.Capacity > 0 && r.Calls >= r.Capacity:
		say(Degraded, "every place for calls is taken, %d of %d", r.Calls, r.Capacity)
	}
	if len(versions) > 1 {
		names := make([]string, 0, len(versions))
		for v := range versions {
			names = append(names, v)
		}
		slices.Sort(names)
		say(Degraded, "different versions run: %s", strings.Join(names, ", "))
	}
	return r
}

// RoleError says that a role is not as it should be. It names no instance: /health is for everybody.
type RoleError struct {
	Role   string
	Status Status
}

// Error implements error.
func (e *RoleError) Error() string { return "fleet: " + e.Role + " is " + string(e.Status) }

// Degraded reports whether the role works all the same.
func (e *RoleError) Degraded() bool { return e.Status == Degraded }

// Check is a role's part of the health of the process that sends to it.
func (f *Fleet) Check(role string) func(context.Context) error {
	return func(context.Context) error {
		for _, r := range f.Report(role).Roles {
			if r.Role == role && r.Status != OK {
				return &RoleError{Role: role, Status: r.Status}
			}
		}
		return nil
	}
}
