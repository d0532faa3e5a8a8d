package envelope

import (
	"context"
	"fmt"

	"github.com/parley-voice/parley/internal/platform/db"
)

// Rotate makes a new version of an organisation's data key, which seals from now on. What older versions sealed still
// opens, and is sealed anew by [Keyring.Tend].
func (k *Keyring) Rotate(ctx context.Context, orgID string) (version int64, err error) {
	r, err := k.add(ctx, orgID, true)
	if err != nil {
		return 0, err
	}
	_, err = k.unwrap(ctx, r)
	return r.Version, err
}

// Rewrap makes the wrapper of the settings the one that wraps, and wraps every data key with it that another one wrapped.
// It can be stopped and called again. Other processes go on meanwhile, when they know both wrappers. It gives how many keys
// it wrapped; told, which may be nil, hears of it as it goes.
func (k *Keyring) Rewrap(ctx context.Context, told func(done int)) (int, error) {
	to := k.c.Wrapper
	// First proven, then switched to.
	if err := proveWrapper(ctx, to); err != nil {
		return 0, err
	}
	err := k.write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := tx.Lock(ctx, "data key wrapper"); err != nil {
			return err
		}
		_, err := tx.NewUpdate().Model((*stateRow)(nil)).Set("wrapper_id = ?", to.ID()).Set("changes = changes + 1").Where("id = 1 AND wrapper_id <> ?", to.ID()).Exec(ctx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("change what wraps the data keys: %w", err)
	}
	done := 0
	for {
		n, err := k.rewrapSome(ctx, to)
		done += n
		if told != nil && n > 0 {
			told(done)
		}
		if err != nil || n == 0 {
			return done, err
		}
	}
}

// rewrapSome wraps some of the keys that another wrapper wrapped.
func (k *Keyring) rewrapSome(ctx context.Context, to Wrapper) (int, error) {
	const page = 100
	var rows []keyRow
	err := k.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("wrapper_id <> ?", to.ID()).Order("organisation_id", "key_id").Limit(page).Scan(ctx)
	})
	if err != nil {
		return 0, fmt.Errorf("find data keys to wrap: %w", err)
	}
	for i := range rows {
		r := &rows[i]
		d, err := k.open(ctx, r)
		if err != nil {
			return i, fmt.Errorf("data key %s of organisation %s: %w", r.KeyID, r.OrganisationID, err)
		}
		raw := d.key.Bytes()
		wctx, cancel := context.WithTimeout(ctx, wrapTimeout)
		wrapped, err := to.Wrap(wctx, raw, r.aad())
		cancel()
		clear(raw)
		if err != nil {
			return i, fmt.Errorf("wrap data key %s of organisation %s with %s: %w", r.KeyID, r.OrganisationID, to.ID(), err)
		}
		err = k.write(ctx, func(ctx context.Context, tx *db.Tx) error {
			// Not where it was destroyed or wrapped by somebody else meanwhile.
			_, err := tx.NewUpdate().Model((*keyRow)(nil)).Set("wrapper_id = ?", to.ID()).Set("wrapped = ?", wrapped).Set("changed_at = ?", k.c.Clock.Now().UnixMilli()).
				Where("organisation_id = ? AND key_id = ? AND wrapper_id = ?", r.OrganisationID, r.KeyID, r.WrapperID).Exec(ctx)
			return err
		})
		if err != nil {
			return i, err
		}
	}
	return len(rows), nil
}

// proveWrapper sees that a wrapper opens what it wraps, before anything depends on it.
func proveWrapper(ctx context.Context, w Wrapper) error {
	ctx, cancel := context.WithTimeout(ctx, wrapTimeout)
	defer cancel()
	probe := []byte("what is wrapped must be unwrapped")[:32]
	wrapped, err := w.Wrap(ctx, probe, "probe")
	if err != nil {
		return fmt.Errorf("%s cannot wrap: %w", w.ID(), err)
	}
	back, err := w.Unwrap(ctx, wrapped, "probe")
	if err != nil || string(back) != string(probe) {
		return fmt.Errorf("%s does not unwrap what it wrapped: %w", w.ID(), err)
	}
	return nil
}

// Status is what there is of keys.
type Status struct {
	Wrapper   string          `json:"wrapper"` // wraps new data keys
	Settings  string          `json:"settings"`
	Wrappers  []WrapperStatus `json:"wrappers"` // that data keys are wrapped by
	States    map[string]int  `json:"states"`   // data keys by state
	Shredded  int64           `json:"shredded"` // organisations whose keys were destroyed
	HasLegacy bool            `json:"hasLegacy"`
}

// WrapperStatus is one wrapper that keys are wrapped by.
type WrapperStatus struct {
	ID    string `json:"id"`
	Keys  int    `json:"keys"`
	Known bool   `json:"known"` // by this process
}

// Status tells what there is of keys.
func (k *Keyring) Status(ctx context.Context) (Status, error) {
	out := Status{Settings: k.c.Wrapper.ID(), States: map[string]int{}, HasLegacy: k.Legacy() != nil}
	err := k.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		s, err := stateOf(ctx, tx)
		if err != nil || s == nil {
			return err
		}
		out.Wrapper = s.WrapperID
		var counts []struct {
			WrapperID string `bun:"wrapper_id"`
			State     string `bun:"state"`
			N         int    `bun:"n"`
		}
		err = tx.NewSelect().Model((*keyRow)(nil)).Column("wrapper_id", "state").ColumnExpr("COUNT(*) AS n").Group("wrapper_id", "state").Order("wrapper_id", "state").Scan(ctx, &counts)
		if err != nil {
			return err
		}
		for _, c := range counts {
			out.States[c.State] += c.N
			if n := len(out.Wrappers); n == 0 || out.Wrappers[n-1].ID != c.WrapperID {
				out.Wrappers = append(out.Wrappers, WrapperStatus{ID: c.WrapperID})
			}
			out.Wrappers[len(out.Wrappers)-1].Keys += c.N
		}
		out.Shredded, err = tx.NewSelect().Model((*tombstoneRow)(nil)).Count(ctx)
		return err
	})
	for i := range out.Wrappers {
		_, err := k.wrapper(out.Wrappers[i].ID)
		out.Wrappers[i].Known = err == nil
	}
	return out, err
}
