// Package jobs does work later, again, or on a schedule, with River on either engine. A job is inserted in the
// transaction of the change that calls for it, so it exists if and only if the change does, and it survives crashes:
// handlers may see a job twice and must be idempotent.
//
//	type Purge struct{ CallID string `json:"callId"` }
//	func (Purge) Kind() string { return "conversation.purge" }
//
//	jobs.Register(j, jobs.KindConfig{}, func(ctx context.Context, orgID string, a Purge) error { ... })
//	jobs.Every(j, 24*time.Hour, Sweep{})
//	jobs.Insert(ctx, j, tx, Purge{id}, jobs.Options{})
//
// Kinds and schedules are registered before Start. A process that does not Start only inserts: that is the gateway.
//
// # Whose jobs
//
// A job belongs to its transaction's organisation. On PostgreSQL, row level security lets an organisation see its own
// jobs only; the workers themselves connect as the tables' owner. River keeps its tables up to date by itself, see
// Migrate.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/parley-voice/parley/internal/platform/db"
)

const (
	defaultWorkers  = 8
	defaultAttempts = 10
	defaultTimeout  = 5 * time.Minute
	pollEvery       = time.Second
	softStop        = 20 * time.Second // running jobs may finish; then their contexts end
	hardStop        = 10 * time.Second
	maxArgs         = 64 << 10
)

// Args is what a job needs to know: data, kept as JSON. Large things belong elsewhere.
type Args interface {
	// Kind is the stable name, "context.verb". It must not depend on the value.
	Kind() string
}

// KindConfig says how jobs of a kind run.
type KindConfig struct {
	Timeout time.Duration // of one try; 5 minutes
}

// Options say how one job runs.
type Options struct {
	At       time.Time // not before; zero is now
	Attempts int       // tries before it is given up; 10
	// Unique leaves the job out when the same one (kind, organisation and arguments) waits or runs already.
	Unique bool
}

// Config is what Open needs.
type Config struct {
	DB      *db.DB
	Log     *slog.Logger  // nil discards
	Workers int           // jobs at once in this process; 8
	Poll    time.Duration // how often SQLite's queue is looked at; 1 s
}

// Jobs is a queue of jobs and, between Start and Stop, its workers.
type Jobs struct {
	c       Config
	engine  engine
	mu      sync.Mutex
	workers *river.Workers
	kinds   map[string]bool
	every   []*river.PeriodicJob
	running bool
}

// engine is River on one of the databases.
type engine interface {
	migrate(ctx context.Context) error
	insert(ctx context.Context, tx *db.Tx, args river.JobArgs, o *river.InsertOpts) error
	start(ctx context.Context, c *river.Config) error
	stop(ctx context.Context) error
	close()
}

// Open connects to the queue. Migrate must have run, here or in another process.
func Open(ctx context.Context, c Config) (*Jobs, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Workers <= 0 {
		c.Workers = defaultWorkers
	}
	if c.Poll <= 0 {
		c.Poll = pollEvery
	}
	e, err := newEngine(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return &Jobs{c: c, engine: e, workers: river.NewWorkers(), kinds: map[string]bool{}}, nil
}

// Migrate brings the queue's own tables up to date. Processes that start together wait for each other.
func (j *Jobs) Migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	if err := j.engine.migrate(ctx); err != nil {
		return fmt.Errorf("migrate jobs: %w", err)
	}
	return nil
}

// envelope is a job as it is stored.
type envelope[A Args] struct {
	OrgID string `json:"organisationId"`
	Args  A      `json:"args"`
}

// Kind implements river.JobArgs.
func (e envelope[A]) Kind() string { return e.Args.Kind() }

type worker[A Args] struct {
	river.WorkerDefaults[envelope[A]]
	c  KindConfig
	do func(ctx context.Context, orgID string, a A) error
}

// Timeout implements river.Worker.
func (w *worker[A]) Timeout(*river.Job[envelope[A]]) time.Duration { return w.c.Timeout }

// Work implements river.Worker.
func (w *worker[A]) Work(ctx context.Context, job *river.Job[envelope[A]]) error {
	return w.do(ctx, job.Args.OrgID, job.Args.Args)
}

// Register says who does jobs of A's kind. A job whose handler fails or panics is tried again, later and later.
func Register[A Args](j *Jobs, c KindConfig, do func(ctx context.Context, orgID string, a A) error) error {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.running {
		return errors.New("jobs: Register after Start")
	}
	if err := river.AddWorkerSafely(j.workers, &worker[A]{c: c, do: do}); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	var zero A
	j.kinds[zero.Kind()] = true
	return nil
}

// Every has a job of no organisation done at Start and then once in each interval, by one of the processes.
func Every[A Args](j *Jobs, interval time.Duration, a A) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.running || !j.kinds[a.Kind()] || interval <= 0 {
		return fmt.Errorf("jobs: Every %s: register its kind first, before Start, with an interval above zero", a.Kind())
	}
	j.every = append(j.every, river.NewPeriodicJob(river.PeriodicInterval(interval),
		func() (river.JobArgs, *river.InsertOpts) {
			return envelope[A]{Args: a}, insertOpts(Options{Unique: true})
		}, &river.PeriodicJobOpts{RunOnStart: true}))
	return nil
}

// Insert adds a job with the transaction's change. The queue is in the master's database: a transaction in an
// organisation's own database cannot insert jobs, and says so; publish a fact instead and insert when it arrives.
func Insert[A Args](ctx context.Context, j *Jobs, tx *db.Tx, a A, o Options) error {
	return InsertFor(ctx, j, tx, tx.OrgID(), a, o)
}

// InsertFor is Insert of an organisation's job in a transaction of the installation: where such a fact arrives.
func InsertFor[A Args](ctx context.Context, j *Jobs, tx *db.Tx, orgID string, a A, o Options) error {
	if !tx.InMaster() {
		return fmt.Errorf("jobs: insert %s: the transaction is in an organisation's own database, the queue is in the master's", a.Kind())
	}
	e := envelope[A]{OrgID: orgID, Args: a}
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("jobs: insert %s: %w", a.Kind(), err)
	}
	if len(b) > maxArgs {
		return fmt.Errorf("jobs: insert %s: %d bytes of arguments are more than %d", a.Kind(), len(b), maxArgs)
	}
	if err := j.engine.insert(ctx, tx, e, insertOpts(o)); err != nil {
		return fmt.Errorf("jobs: insert %s: %w", a.Kind(), err)
	}
	return nil
}

func insertOpts(o Options) *river.InsertOpts {
	if o.Attempts <= 0 {
		o.Attempts = defaultAttempts
	}
	io := &river.InsertOpts{MaxAttempts: o.Attempts, ScheduledAt: o.At}
	if o.Unique {
		io.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
			rivertype.JobStateRunning, rivertype.JobStateScheduled,
		}}
	}
	return io
}

// Start does jobs until Stop. A second Start changes nothing.
func (j *Jobs) Start(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.running {
		return nil
	}
	if len(j.kinds) == 0 {
		return errors.New("jobs: Start without a registered kind")
	}
	err := j.engine.start(context.WithoutCancel(ctx), &river.Config{
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: j.c.Workers}},
		Workers: j.workers, PeriodicJobs: j.every, Logger: j.c.Log, MaxAttempts: defaultAttempts, JobTimeout: defaultTimeout,
		ErrorHandler: &failures{j.c.Log},
	})
	if err != nil {
		return fmt.Errorf("jobs: start: %w", err)
	}
	j.running = true
	return nil
}

// Stop lets running jobs finish for a while, then ends their contexts; what did not finish is done again later. It is
// safe before Start, and twice.
func (j *Jobs) Stop() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.running {
		return nil
	}
	j.running = false
	ctx, cancel := context.WithTimeout(context.Background(), softStop+hardStop)
	defer cancel()
	return j.engine.stop(ctx)
}

// Close stops the workers and lets the queue go.
func (j *Jobs) Close() error {
	err := j.Stop()
	j.engine.close()
	return err
}

// failures logs what River would only keep in the job's row.
type failures struct{ log *slog.Logger }

// HandleError implements river.ErrorHandler.
func (f *failures) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	f.log.WarnContext(ctx, "job failed", "job", job.ID, "kind", job.Kind, "try", job.Attempt, "of", job.MaxAttempts, "error", err)
	return nil
}

// HandlePanic implements river.ErrorHandler.
func (f *failures) HandlePanic(ctx context.Context, job *rivertype.JobRow, p any, trace string) *river.ErrorHandlerResult {
	if trace == "" {
		trace = string(debug.Stack())
	}
	f.log.ErrorContext(ctx, "job panicked", "job", job.ID, "kind", job.Kind, "panic", p, "trace", trace)
	return nil
}
