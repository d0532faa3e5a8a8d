package sip

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// Limits of a registration (RFC 3261 section 10.3).
const (
	expiresDefault = time.Hour
	expiresMin     = time.Minute
	expiresMax     = 24 * time.Hour
	contactsMax    = 8 // phones one user may have registered at once
)

// Contact is where a registered phone can be reached.
type Contact struct {
	URI       string    `json:"uri"`
	Transport string    `json:"transport"` // "udp", "tcp" or "tls"
	UserAgent string    `json:"userAgent"`
	Source    string    `json:"source"` // address the registration came from, which gets through NAT
	CallID    string    `json:"callId"`
	CSeq      uint32    `json:"cseq"`
	ExpiresAt time.Time `json:"expiresAt"`
	Encrypted bool      `json:"encrypted,omitempty"` // the phone takes calls with SRTP only
	Node      string    `json:"node,omitempty"`      // the server that it is registered with, where there are several

	// conn is the connection of a phone that registered by TLS. It has no certificate by which another connection to it
	// could be trusted, so this is the only way to it (RFC 5923 section 9.3, RFC 5626 section 5.3).
	conn *tcpConn
}

// gone reports whether a contact cannot be reached at now.
func (c Contact) gone(now time.Time) bool {
	return !c.ExpiresAt.After(now) || (c.Transport == "tls" && (c.conn == nil || !c.conn.open()))
}

// Phones is the store of SIP users. Its methods may wait for a database: they are never called while
// signalling of a call waits.
type Phones interface {
	// Secrets gives what is stored of a user and their password; found is false when there is no such user.
	Secrets(ctx context.Context, username string) (account Account, found bool, err error)
	// SaveContacts replaces the stored contacts of a user that are registered with node, and those of before there were
	// nodes. What is registered with others stays, but a contact that is in both is where it lasts longer.
	SaveContacts(ctx context.Context, username, node string, contacts []Contact) error
	// Contacts gives every stored contact by user name. It is asked once, at start.
	Contacts(ctx context.Context) (map[string][]Contact, error)
}

// registrar knows which phones are where. Memory is the truth, the store survives a restart.
type registrar struct {
	s *Server

	mu    sync.Mutex
	users map[string][]Contact
}

// load takes what was registered before a restart.
func (r *registrar) load(ctx context.Context) error {
	if r.s.config.Phones == nil {
		return nil
	}
	all, err := r.s.config.Phones.Contacts(ctx)
	if err != nil {
		return fmt.Errorf("load SIP registrations: %w", err)
	}
	for user, contacts := range all { // others' are theirs; what names nobody is of before there were several
		all[user] = slices.DeleteFunc(contacts, func(c Contact) bool { return c.Node != "" && c.Node != r.s.config.Node })
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users = all
	if r.users == nil {
		r.users = map[string][]Contact{}
	}
	return nil
}

// contacts gives where a user is registered now, the newest first.
func (r *registrar) contacts(username string) []Contact {
	now := r.s.config.Clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.users[username]), func(c Contact) bool { return c.gone(now) })
}

// all gives every live registration.
func (r *registrar) all() map[string][]Contact {
	r.mu.Lock()
	users := slices.Collect(maps.Keys(r.users))
	r.mu.Unlock()
	out := make(map[string][]Contact, len(users))
	for _, u := range users {
		if c := r.contacts(u); len(c) > 0 {
			out[u] = c
		}
	}
	return out
}

// register handles REGISTER (RFC 3261 section 10.3).
func (r *registrar) register(ctx context.Context, tx *serverTx, req *sipmsg.Request, f flow) {
	who, p := r.s.auth.verify(ctx, req, f)
	if p != nil {
		r.s.count("register", strconv.Itoa(p.status))
		r.s.refuse(tx, p)
		return
	}
	user := who.phone
	if req.To().Address.User != user {
		r.s.refuse(tx, refuse(403, "%s may not register %s", user, req.To().Address.User))
		return
	}
	contacts, p := r.update(who, req, f)
	if p != nil {
		r.s.refuse(tx, p)
		return
	}
	if err := r.s.config.Phones.SaveContacts(ctx, user, r.s.config.Node, contacts); err != nil {
		// The phone is registered all the same; it will register again after a restart.
		r.s.log.Error("SIP registration was not stored", "user", user, "error", err)
	}
	r.s.count("register", "200")
	if len(contacts) > 0 {
		f.keep(connKept)
		r.s.flood.know(f.remote, contacts[0].ExpiresAt) // the one that lasts longest
	}
	res := r.s.response(req, 200)
	now := r.s.config.Clock.Now()
	for _, c := range contacts {
		left := max(int(c.ExpiresAt.Sub(now).Seconds()), 0)
		res.AppendHeader(sipmsg.NewHeader("Contact", fmt.Sprintf("<%s>;expires=%d", c.URI, left)))
	}
	res.AppendHeader(sipmsg.NewHeader("Date", now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")))
	r.s.answer(tx, res)
}

// update changes a user's bindings and gives the live ones.
func (r *registrar) update(who caller, req *sipmsg.Request, f flow) ([]Contact, *problem) {
	now := r.s.config.Clock.Now()
	def, p := expiresHeader(req)
	if p != nil {
		return nil, p
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	user := who.phone
	live := slices.DeleteFunc(slices.Clone(r.users[user]), func(c Contact) bool { return c.gone(now) })
	for _, h := range req.GetHeaders("Contact") {
		c, ok := h.(*sipmsg.ContactHeader)
		if !ok {
			return nil, refuse(400, "Contact cannot be read")
		}
		if c.Address.Wildcard {
			if def != 0 || len(req.GetHeaders("Contact")) != 1 {
				return nil, refuse(400, "Contact: * is for Expires: 0 alone")
			}
			live = nil
			break
		}
		if live, p = bind(live, c, def, req, f, now, who.encrypted, r.s.config.Node); p != nil {
			return nil, p
		}
	}
	slices.SortStableFunc(live, func(a, b Contact) int { return b.ExpiresAt.Compare(a.ExpiresAt) })
	if len(live) == 0 {
		delete(r.users, user)
	} else {
		r.users[user] = live
	}
	return slices.Clone(live), nil
}

// bind adds, refreshes or removes one contact (RFC 3261 section 10.3 step 7).
func bind(live []Contact, c *sipmsg.ContactHeader, def time.Duration, req *sipmsg.Request, f flow, now time.Time, encrypted bool, node string) ([]Contact, *problem) {
	secure := c.Address.Scheme == "sips"
	if c.Address.Host == "" || (c.Address.Scheme != "sip" && c.Address.Scheme != "" && !secure) {
		return nil, refuse(400, "Contact must be a sip URI")
	}
	if secure && !f.secure() {
		return nil, refuse(400, "a sips Contact is registered by TLS")
	}
	life := def
	if v, ok := c.Params.Get("expires"); ok {
		life = seconds(v, expiresDefault)
	}
	if life > 0 && life < expiresMin {
		return nil, refuse(423, "register for longer").with("Min-Expires", strconv.Itoa(int(expiresMin.Seconds())))
	}
	life = min(life, expiresMax)
	entry := Contact{Node: node, URI: c.Address.String(), Transport: f.network(), Encrypted: encrypted, UserAgent: clip(header(req, "User-Agent"), 120),
		Source: f.remote.String(), CallID: clip(req.CallID().Value(), 200), CSeq: req.CSeq().SeqNo, ExpiresAt: now.Add(life)}
	if f.secure() {
		entry.conn = f.conn
	}
	i := slices.IndexFunc(live, func(o Contact) bool { return o.URI == entry.URI })
	if i >= 0 && live[i].CallID == entry.CallID && entry.CSeq <= live[i].CSeq {
		return nil, refuse(500, "an older REGISTER came late")
	}
	switch {
	case i >= 0 && life == 0:
		return slices.Delete(live, i, i+1), nil
	case life == 0:
		return live, nil
	case i >= 0:
		live[i] = entry
		return live, nil
	case len(live) >= contactsMax:
		return nil, refuse(403, "%d phones are registered already; unregister one", len(live))
	}
	return append(live, entry), nil
}

// expiresHeader reads Expires, which counts for contacts that do not say themselves.
func expiresHeader(req *sipmsg.Request) (time.Duration, *problem) {
	v := header(req, "Expires")
	if v == "" {
		return expiresDefault, nil
	}
	d := seconds(v, -1)
	if d < 0 {
		return 0, refuse(400, "Expires is not a number")
	}
	return d, nil
}

// seconds reads delta-seconds; what cannot be read is def (RFC 3261 section 20.10).
func seconds(v string, def time.Duration) time.Duration {
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 32)
	if err != nil {
		return def
	}
	return time.Duration(n) * time.Second
}

func clip(s string, n int) string { return cmp.Or(s[:min(len(s), n)], "") }
