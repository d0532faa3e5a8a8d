// Package mongolog keeps a copy of the platform log, and of the organisations' trails where that is asked for, in a MongoDB, or a
// database that speaks its protocol, such as FerretDB. Each entry is a document of the collection platform_log or audit_trails, with
// the entry's id as its _id: what was written twice is there once. Nothing is ever changed or deleted, so the right to insert and to find is enough.
package mongolog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Where the entries are, in the URL's database: the platform log's, and the organisations'.
const (
	Collection = "platform_log"
	Trails     = "audit_trails"
)

// DefaultTimeout is how long writing one batch may take.
const DefaultTimeout = 15 * time.Second

const (
	connections   = 2
	closeTimeout  = 2 * time.Second
	duplicateKey  = 11000 // https://www.mongodb.com/docs/manual/reference/error-codes/
	maxSaid       = 300   // bytes of an error's text that are kept
	selectTimeout = 5 * time.Second
)

// Config is what New needs.
type Config struct {
	// URL is mongodb://USER:PASSWORD@HOST:PORT/DATABASE?tls=true, or mongodb+srv://...
	// https://www.mongodb.com/docs/manual/reference/connection-string/
	URL     string
	Timeout time.Duration // of one batch; 0: DefaultTimeout
	Log     *slog.Logger  // nil discards
}

// Sink is a compliance.Sink.
type Sink struct {
	c        Config
	place    string
	database string

	mu     sync.Mutex
	client *mongo.Client // made when it is first needed: the name of a mongodb+srv URL is looked up then
}

// Parse checks a URL of the setting, without asking anybody, and gives what it names without who signs in there, and the
// database. Its errors do not repeat the URL.
func Parse(raw string) (place, database string, err error) {
	scheme, rest, _ := strings.Cut(raw, "://")
	rest, query, _ := strings.Cut(rest, "?")
	hosts, database, _ := strings.Cut(rest, "/")
	if _, after, signed := strings.Cut(hosts, "@"); signed { // what they hold of / and @ is escaped
		hosts = after
	}
	q, err := url.ParseQuery(query)
	if err != nil || hosts == "" || strings.ContainsAny(hosts, "@ %") || scheme != "mongodb" && scheme != "mongodb+srv" {
		return "", "", errors.New("it is no mongodb://user:password@host:27017/DATABASE; / : @ ? # of a password are written as %2F %3A %40 %3F %23")
	}
	if database == "" || len(database) > 63 || strings.ContainsAny(database, `/\. "$*<>:|?`) {
		return "", "", errors.New("it names no database, such as mongodb://user:password@host:27017/parley")
	}
	option := func(name string) (value string, there bool) {
		for key, values := range q {
			if strings.EqualFold(key, name) && len(values) > 0 {
				return values[0], true
			}
		}
		return "", false
	}
	for _, name := range []string{"tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames"} {
		if v, there := option(name); there && v != "false" {
			return "", "", fmt.Errorf("%s would let anybody answer; name who signed the server's certificate in tlsCAFile", name)
		}
	}
	for _, name := range []string{"tlsCAFile", "tlsCertificateKeyFile"} {
		if file, there := option(name); there {
			if _, err := os.ReadFile(file); err != nil {
				return "", "", fmt.Errorf("the file of its %s cannot be read", name)
			}
		}
	}
	tls, said := option("tls")
	if !said {
		tls, said = option("ssl")
	}
	if said && tls != "true" && tls != "false" {
		return "", "", errors.New("its tls is true or false")
	}
	if !said && scheme == "mongodb" && slices.ContainsFunc(strings.Split(hosts, ","), elsewhere) {
		return "", "", errors.New("it does not say tls=true, or tls=false where what lies between is safe")
	}
	return "mongodb:" + hosts + "/" + database + "/" + Collection, database, nil
}

// elsewhere reports whether an address is on another machine.
func elsewhere(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// New makes a Sink. It asks nobody.
func New(c Config) (*Sink, error) {
	place, database, err := Parse(c.URL)
	if err != nil {
		return nil, err
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Sink{c: c, place: place, database: database}, nil
}

// Place implements compliance.Sink.
func (s *Sink) Place() string { return s.place }

// Close implements compliance.Sink.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.client.Disconnect(ctx)
	s.client = nil
	return err
}

func (s *Sink) collection(name string) (*mongo.Collection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		o := options.Client().ApplyURI(s.c.URL)
		if err := o.Validate(); err != nil { // may repeat the URL
			return nil, fault.New(fault.Unavailable, "the platform log's database cannot be found under its URL, or the URL has options that do not go together")
		}
		o.SetAppName("parley").SetTimeout(s.c.Timeout).SetConnectTimeout(min(selectTimeout, s.c.Timeout)).
			SetServerSelectionTimeout(min(selectTimeout, s.c.Timeout)).SetMaxPoolSize(connections)
		if o.WriteConcern == nil {
			o.SetWriteConcern(writeconcern.Majority()) // what one server alone has can be taken back
		}
		client, err := mongo.Connect(o)
		if err != nil {
			return nil, fault.New(fault.Unavailable, "the platform log's database cannot be used with the options of its URL")
		}
		s.client = client
	}
	return s.client.Database(s.database).Collection(name), nil
}

// Write implements compliance.Sink.
func (s *Sink) Write(ctx context.Context, entries []compliance.AuditEntry) error {
	return s.write(ctx, Collection, entries, nil)
}

// WriteTrail implements compliance.TrailSink. The organisation is a field of each document.
func (s *Sink) WriteTrail(ctx context.Context, orgID string, entries []compliance.AuditEntry) error {
	return s.write(ctx, Trails, entries, bson.D{{Key: "organisationId", Value: orgID}})
}

func (s *Sink) write(ctx context.Context, collection string, entries []compliance.AuditEntry, also bson.D) error {
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	c, err := s.collection(collection)
	if err != nil {
		return err
	}
	documents := make([]any, len(entries))
	for i := range entries {
		documents[i] = append(document(&entries[i]), also...)
	}
	_, err = c.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	if err == nil {
		return nil
	}
	at, ok := duplicates(err, len(entries))
	if !ok {
		return s.fault(err)
	}
	there := make([]*compliance.AuditEntry, len(at))
	for i, n := range at {
		there[i] = &entries[n]
	}
	return s.compare(ctx, c, there)
}

// duplicates tells which of n documents were not written because there is one with their key, where nothing else failed.
func duplicates(err error, n int) (at []int, ok bool) {
	var bulk mongo.BulkWriteException
	if !errors.As(err, &bulk) || bulk.WriteConcernError != nil || len(bulk.WriteErrors) == 0 {
		return nil, false
	}
	for _, e := range bulk.WriteErrors {
		if e.Code != duplicateKey || e.Index < 0 || e.Index >= n {
			return nil, false
		}
		at = append(at, e.Index)
	}
	return at, true
}

// compare proves that what is there already is what would have been written. What is not was written by somebody else, or
// altered: it is told, and does not hold up what follows.
func (s *Sink) compare(ctx context.Context, c *mongo.Collection, entries []*compliance.AuditEntry) error {
	ids := make(bson.A, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	found, err := c.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
	if err != nil {
		return s.fault(err)
	}
	var kept []struct {
		ID   string `bson:"_id"`
		Hash string `bson:"hash"`
	}
	if err := found.All(ctx, &kept); err != nil {
		return s.fault(err)
	}
	hashes := make(map[string]string, len(kept))
	for _, k := range kept {
		hashes[k.ID] = k.Hash
	}
	for _, e := range entries {
		switch hash, there := hashes[e.ID]; {
		case !there:
			return fault.New(fault.Upstream, "the platform log's database says that it has entry %d, and has it not; does its collection have another unique index?", e.Seq)
		case hash != e.Hash:
			s.c.Log.ErrorContext(ctx, "the copy of an entry of the platform log is not the entry", "place", s.place, "entry", e.Seq, "id", e.ID)
		}
	}
	return nil
}

// document is an entry with the names it has in an export. before and after stay the text they are: it is what is hashed.
func document(e *compliance.AuditEntry) bson.D {
	return bson.D{{Key: "_id", Value: e.ID}, {Key: "seq", Value: e.Seq}, {Key: "at", Value: e.At}, {Key: "actorKind", Value: e.ActorKind},
		{Key: "actorId", Value: e.ActorID}, {Key: "tokenId", Value: e.TokenID}, {Key: "impersonatorId", Value: e.ImpersonatorID},
		{Key: "action", Value: e.Action}, {Key: "outcome", Value: e.Outcome}, {Key: "kind", Value: e.Kind}, {Key: "objectId", Value: e.ObjectID},
		{Key: "before", Value: string(e.Before)}, {Key: "after", Value: string(e.After)}, {Key: "reason", Value: e.Reason}, {Key: "ip", Value: e.IP},
		{Key: "userAgent", Value: e.UserAgent}, {Key: "requestId", Value: e.RequestID}, {Key: "operation", Value: e.Operation},
		{Key: "prevHash", Value: e.PrevHash}, {Key: "hash", Value: e.Hash}}
}
