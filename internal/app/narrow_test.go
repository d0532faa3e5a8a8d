package app_test

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// narrowTable says which operations honour ":own" and ":team". People write and review it, as the access table.
//
//go:embed testdata/narrow.txt
var narrowTable []byte

func narrowed(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for s := bufio.NewScanner(bytes.NewReader(narrowTable)); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		id, by, ok := strings.Cut(line, ":")
		if !ok || out[id] || strings.TrimSpace(by) == "" {
			t.Fatalf("narrow table: %q", line)
		}
		out[id] = true
	}
	return out
}

// colleague is somebody with a role that reaches only some people's things.
type colleague struct {
	*client
	id string
}

// office is an organisation in which anna reaches her own things, ben those of his team, which cara is in too, and dora, the
// viewer, is in no team.
type office struct {
	*testing.T
	owner                 *client
	anna, ben, cara, dora colleague
}

func openOffice(t *testing.T, owner *client) *office {
	t.Helper()
	o := &office{T: t, owner: owner}
	var known struct{ Items, Narrowed []string }
	owner.want(http.StatusOK, "GET", "/api/v1/permissions", nil, &known)
	role := func(narrow string) string {
		var made struct {
			ID       string
			Expanded []string
		}
		var permissions []string
		for _, p := range known.Narrowed {
			permissions = append(permissions, p+":"+narrow)
		}
		owner.want(http.StatusCreated, "POST", "/api/v1/roles", map[string]any{"name": "Only " + narrow, "permissions": permissions}, &made)
		if !slices.Equal(made.Expanded, permissions) {
			t.Errorf("the role gives %v, want %v", made.Expanded, permissions)
		}
		return made.ID
	}
	for _, p := range known.Items {
		if !slices.Contains(known.Narrowed, p) {
			owner.want(http.StatusUnprocessableEntity, "POST", "/api/v1/roles", map[string]any{"name": p, "permissions": []string{p + ":own"}}, nil)
		}
	}
	own, team := role("own"), role("team")
	o.anna, o.ben, o.cara, o.dora = o.joins("anna", own), o.joins("ben", team), o.joins("cara", own), o.joins("dora", "viewer")
	var made struct{ ID string }
	owner.want(http.StatusCreated, "POST", "/api/v1/teams", map[string]any{"name": "Front"}, &made)
	for _, c := range []colleague{o.ben, o.cara} {
		owner.want(http.StatusOK, "PUT", "/api/v1/teams/"+made.ID+"/members/"+c.id, nil, nil)
	}
	owner.want(http.StatusCreated, "POST", "/api/v1/teams", map[string]any{"name": "Nobody's"}, nil)
	return o
}

func (o *office) joins(name, role string) colleague {
	c := colleague{client: o.owner.invite(name+"@example.com", role)}
	var me struct{ User struct{ ID string } }
	c.want(http.StatusOK, "GET", "/api/v1/me", nil, &me)
	c.id = me.User.ID
	return c
}

// Every operation of the document is asked by people whose permissions reach only their own things, or their team's: the ones
// of the table let them in, and no other but those of one's own account. Then each sees exactly theirs.
func TestNarrowPermissions(t *testing.T) {
	engines(t, func(t *testing.T, newURL func(*testing.T) string, ports int) {
		s, owner := openHouse(t, newURL(t), []string{"44040-44059", "44060-44079"}[ports])
		o := openOffice(t, owner)
		o.walk()
		o.things(s.SIPAddr())
	})
}

func (o *office) walk() {
	table, everybodys := narrowed(o.T), access(o.T)
	for _, op := range readDocument(o.T, o.owner).operations {
		if op.public || slices.Contains(ends, op.id) {
			continue
		}
		may := table[op.id] || slices.Contains(everybodys[op.id], "all") && op.area == "self"
		delete(table, op.id)
		for name, c := range map[string]*client{"own": o.anna.client, "team": o.ben.client} {
			status := knock(o.T, c, op)
			if let := status != http.StatusForbidden && status != http.StatusUnauthorized; let != may {
				o.Errorf("%s: %d for a role with :%s, want let in: %v", op.id, status, name, may)
			}
		}
	}
	for id := range table {
		o.Errorf("%s is in the table and not in the document", id)
	}
}

// things gives everybody one of each thing, and looks at who sees what.
func (o *office) things(sipAddr string) {
	people := map[string]colleague{"anna": o.anna, "ben": o.ben, "cara": o.cara, "dora": o.dora}
	sees := map[string][]string{"anna": {"anna"}, "ben": {"ben", "cara"}, "cara": {"cara"}}
	ids := map[string]map[string]string{} // path of the list, then person, then id
	keep := func(path, person, id string) {
		if ids[path] == nil {
			ids[path] = map[string]string{}
		}
		ids[path][person] = id
	}
	var sim struct{ Definition any }
	o.owner.want(http.StatusOK, "GET", "/api/v1/agents/sim/versions/1", nil, &sim)
	for name, c := range people {
		keep("/api/v1/members", name, c.id)
		for path, body := range map[string]map[string]any{
			"/api/v1/agents": {"name": name, "slug": name + "-agent", "definition": sim.Definition, "ownerId": c.id},
			"/api/v1/phones": {"username": name, "userId": c.id},
		} {
			var made struct{ ID string }
			o.owner.want(http.StatusCreated, "POST", path, body, &made)
			keep(path, name, made.ID)
		}
		if name == "dora" {
			continue
		}
		for path, body := range map[string]map[string]any{
			"/api/v1/projects":    {"name": name},
			"/api/v1/tokens":      {"name": name},
			"/api/v1/invitations": {"email": "friend-of-" + name + "@example.com", "role": sole(o.T, c.client)},
		} {
			var made struct{ ID string }
			c.want(http.StatusCreated, "POST", path, body, &made)
			keep(path, name, made.ID)
		}
		agent := ids["/api/v1/agents"][name]
		o.owner.want(http.StatusOK, "POST", "/api/v1/agents/"+agent+"/versions/1/publish", nil, nil)
		known := slices.Collect(maps.Values(ids["/api/v1/calls"]))
		p := ring(o.T, sipAddr, name+"-agent", "")
		p.answered(o.T)
		id := o.owner.newest(known...).ID
		keep("/api/v1/calls", name, id)
		o.owner.want(http.StatusAccepted, "POST", "/api/v1/calls/"+id+"/hangup", nil, nil)
		p.over(o.T)
		o.owner.kept(id)
	}
	for name, theirs := range sees {
		for path, byPerson := range ids {
			o.sees(people[name].client, name, path, byPerson, theirs)
		}
		var sums struct{ Today struct{ Calls int } }
		people[name].want(http.StatusOK, "GET", "/api/v1/overview", nil, &sums)
		if sums.Today.Calls != len(theirs) {
			o.Errorf("%s: the sums tell of %d calls, want %d", name, sums.Today.Calls, len(theirs))
		}
		var trail struct {
			Items []struct{ ActorID string }
		}
		people[name].want(http.StatusOK, "GET", "/api/v1/audit?limit=200", nil, &trail)
		if len(trail.Items) == 0 {
			o.Errorf("%s did nothing", name)
		}
		for _, e := range trail.Items {
			if !slices.ContainsFunc(theirs, func(n string) bool { return people[n].id == e.ActorID }) {
				o.Errorf("%s sees what %q did", name, e.ActorID)
			}
		}
	}
	o.changes(people, ids)
}

// sole gives the one role a narrow person may give: their own.
func sole(t *testing.T, c *client) string {
	t.Helper()
	var me struct{ Role string }
	c.want(http.StatusOK, "GET", "/api/v1/me", nil, &me)
	return me.Role
}

// sees compares a list, and what is asked for one by one, with what somebody may see.
func (o *office) sees(c *client, name, path string, byPerson map[string]string, theirs []string) {
	var list struct{ Items []map[string]any }
	c.want(http.StatusOK, "GET", path+"?limit=200", nil, &list)
	var got, want []string
	for _, it := range list.Items {
		id, _ := it["id"].(string)
		if path == "/api/v1/members" {
			id, _ = it["userId"].(string)
		}
		got = append(got, id)
	}
	for _, p := range theirs {
		if id := byPerson[p]; id != "" {
			want = append(want, id)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		o.Errorf("%s sees %v in %s, want %v", name, got, path, want)
	}
	if path == "/api/v1/tokens" || path == "/api/v1/invitations" {
		return // they are not asked for one by one
	}
	for person, id := range byPerson {
		status := http.StatusNotFound
		if slices.Contains(theirs, person) {
			status = http.StatusOK
		}
		c.want(status, "GET", path+"/"+id, nil, nil)
	}
}

// changes lets anna change what is hers and nothing else, and keeps her from giving it away.
func (o *office) changes(people map[string]colleague, ids map[string]map[string]string) {
	for path, body := range map[string]map[string]any{
		"/api/v1/agents": {"name": "Changed"}, "/api/v1/phones": {"displayName": "Changed"}, "/api/v1/projects": {"description": "Changed"},
	} {
		o.anna.want(http.StatusOK, "PATCH", path+"/"+ids[path]["anna"], body, nil)
		o.anna.want(http.StatusNotFound, "PATCH", path+"/"+ids[path]["cara"], body, nil)
		o.ben.want(http.StatusOK, "PATCH", path+"/"+ids[path]["cara"], body, nil)
	}
	for path, field := range map[string]string{"/api/v1/agents": "ownerId", "/api/v1/phones": "userId"} {
		o.anna.want(http.StatusUnprocessableEntity, "PATCH", path+"/"+ids[path]["anna"], map[string]any{field: o.ben.id}, nil)
		o.ben.want(http.StatusUnprocessableEntity, "PATCH", path+"/"+ids[path]["cara"], map[string]any{field: o.dora.id}, nil)
		o.ben.want(http.StatusOK, "PATCH", path+"/"+ids[path]["cara"], map[string]any{field: o.ben.id}, nil)
		o.owner.want(http.StatusUnprocessableEntity, "PATCH", path+"/"+ids[path]["cara"], map[string]any{field: "018f0000-0000-7000-8000-000000000000"}, nil)
	}
	// What is given to somebody else is theirs, with its calls.
	o.cara.want(http.StatusNotFound, "GET", "/api/v1/calls/"+ids["/api/v1/calls"]["cara"], nil, nil)
	var made struct{ UserID string }
	o.anna.want(http.StatusCreated, "POST", "/api/v1/phones", map[string]any{"username": "annas-second"}, &made)
	if made.UserID != o.anna.id {
		o.Errorf("anna's phone belongs to %q", made.UserID)
	}
	o.anna.want(http.StatusNotFound, "POST", "/api/v1/calls/outbound", map[string]any{"to": "sip:somebody@127.0.0.1:9", "agent": "cara-agent"}, nil)
	o.projects(ids)
}

// projects group agents, phones and through the agents calls, and let go of them when they are deleted.
func (o *office) projects(ids map[string]map[string]string) {
	project := ids["/api/v1/projects"]["dora"]
	if project == "" {
		var made struct{ ID string }
		o.owner.want(http.StatusCreated, "POST", "/api/v1/projects", map[string]any{"name": "Spring"}, &made)
		project = made.ID
	}
	for _, path := range []string{"/api/v1/agents", "/api/v1/phones"} {
		o.owner.want(http.StatusOK, "PATCH", path+"/"+ids[path]["anna"], map[string]any{"projectId": project}, nil)
		o.owner.want(http.StatusUnprocessableEntity, "PATCH", path+"/"+ids[path]["anna"], map[string]any{"projectId": "018f0000-0000-7000-8000-000000000000"}, nil)
	}
	count := func(path string) int {
		var list struct{ Items []any }
		o.owner.want(http.StatusOK, "GET", fmt.Sprintf("%s?projectId=%s", path, project), nil, &list)
		return len(list.Items)
	}
	for _, path := range []string{"/api/v1/agents", "/api/v1/phones", "/api/v1/calls"} {
		if n := count(path); n != 1 {
			o.Errorf("%d of %s in the project, want 1", n, path)
		}
	}
	o.owner.want(http.StatusNoContent, "DELETE", "/api/v1/projects/"+project, nil, nil)
	eventually(o.T, "the project to let go", func() bool {
		return count("/api/v1/agents")+count("/api/v1/phones")+count("/api/v1/calls") == 0
	})
}
