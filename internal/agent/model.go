package agent

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

const (
	maxModels    = 100
	probeTimeout = 10 * time.Second
)

var services = []string{ServiceSTT, ServiceLLM, ServiceTTS}

// Model is a connection to a vendor.
type Model struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"`
	Vendor   string        `json:"vendor" enum:"openai,local,sim"`
	Services []string      `json:"services" doc:"What it can do: stt, llm, tts"`
	BaseURLs URLs          `json:"baseUrls"`
	HasKey   HasKey        `json:"hasKey" doc:"For which services a key is kept; keys are never shown"`
	Defaults ModelDefaults `json:"defaults"`
	BuiltIn  bool          `json:"builtIn"`
	Status   ModelStatus   `json:"status"`
}

// URLs are the addresses of a vendor's services, with or without /v1. An empty one is a service it has not.
type URLs struct {
	STT string `json:"stt,omitempty"`
	LLM string `json:"llm,omitempty"`
	TTS string `json:"tts,omitempty"`
}

// Keys are secrets for a vendor's services. Optional.
type Keys struct {
	STT string `json:"stt,omitempty"`
	LLM string `json:"llm,omitempty"`
	TTS string `json:"tts,omitempty"`
}

// HasKey says which keys are kept.
type HasKey struct {
	STT bool `json:"stt"`
	LLM bool `json:"llm"`
	TTS bool `json:"tts"`
}

// ModelDefaults are used where an agent names no model or voice.
type ModelDefaults struct {
	STT   string `json:"stt,omitempty"`
	LLM   string `json:"llm,omitempty"`
	TTS   string `json:"tts,omitempty"`
	Voice string `json:"voice,omitempty"`
	// TTSRate is for servers that say nothing of their PCM's rate.
	TTSRate int `json:"ttsRate,omitempty" doc:"Samples a second of the server's PCM; 24000 when empty"`
}

// ModelStatus is what the last probe found.
type ModelStatus struct {
	OK        bool       `json:"ok"`
	CheckedAt *time.Time `json:"checkedAt"`
	Message   string     `json:"message"`
}

// Of gives the address of a service.
func (u URLs) Of(service string) string {
	return map[string]string{ServiceSTT: u.STT, ServiceLLM: u.LLM, ServiceTTS: u.TTS}[service]
}

// Of gives the key of a service.
func (k Keys) Of(service string) string {
	return map[string]string{ServiceSTT: k.STT, ServiceLLM: k.LLM, ServiceTTS: k.TTS}[service]
}

// Connection is a model with its keys: for the vendor's adapter, never for the API.
type Connection struct {
	ID, Name, Vendor string
	BaseURLs         URLs
	Keys             Keys
	Defaults         ModelDefaults
}

type modelRow struct {
	bun.BaseModel `bun:"table:models"`

	ID             string `bun:",pk"`
	OrganisationID string
	Name           string
	Vendor         string
	Settings       string
	Keys           []byte
	StatusOk       bool
	StatusMessage  string
	CheckedAt      *int64
	CreatedAt      int64
	UpdatedAt      int64
}

type modelSettings struct {
	BaseURLs URLs              `json:"baseUrls"`
	Defaults ModelDefaults     `json:"defaults"`
	HasKey   HasKey            `json:"hasKey"`
	KeysSet  map[string]keySet `json:"keysSet,omitempty"` // by service
}

func (r *modelRow) settings() (modelSettings, error) {
	var s modelSettings
	if err := json.Unmarshal([]byte(r.Settings), &s); err != nil {
		return s, fmt.Errorf("settings of model %s: %w", r.ID, err)
	}
	return s, nil
}

func (r *modelRow) model() (Model, error) {
	s, err := r.settings()
	m := Model{ID: r.ID, Name: r.Name, Vendor: r.Vendor, Services: []string{}, BaseURLs: s.BaseURLs, HasKey: s.HasKey, Defaults: s.Defaults,
		Status: ModelStatus{OK: r.StatusOk, Message: r.StatusMessage}}
	if r.CheckedAt != nil {
		t := at(*r.CheckedAt)
		m.Status.CheckedAt = &t
	}
	for _, sv := range services {
		if s.BaseURLs.Of(sv) != "" {
			m.Services = append(m.Services, sv)
		}
	}
	return m, err
}

// builtIn are the models every installation has.
func (s *Service) builtIn() []Model {
	local := Model{ID: VendorLocal, Name: "Built-in speech (demo recogniser)", Vendor: VendorLocal, Services: []string{ServiceSTT, ServiceTTS},
		BuiltIn: true, Defaults: ModelDefaults{Voice: "slt"}, Status: ModelStatus{OK: true}}
	if s.c.LocalStatus != nil {
		local.Status.OK, local.Status.Message = s.c.LocalStatus()
	}
	if s.c.NoSimulation {
		return []Model{local}
	}
	sim := Model{ID: VendorSim, Name: "Simulated vendors", Vendor: VendorSim, Services: slices.Clone(services), BuiltIn: true,
		Status: ModelStatus{OK: true, Message: "For tests, load and rehearsal: nothing real answers."}}
	return []Model{local, sim}
}

func builtInID(id string) bool { return id == VendorLocal || id == VendorSim }

// ModelInput is what a model is made from. On a change, nil and empty leave things as they are.
type ModelInput struct {
	Name     *string        `json:"name,omitempty" maxLength:"100"`
	BaseURLs *URLs          `json:"baseUrls,omitempty"`
	Keys     *KeyChange     `json:"keys,omitempty" doc:"Kept sealed and never shown; an empty string removes a key"`
	Defaults *ModelDefaults `json:"defaults,omitempty"`
}

// KeyChange sets keys: nil leaves one as it is, empty removes it.
type KeyChange struct {
	STT *string `json:"stt,omitempty"`
	LLM *string `json:"llm,omitempty"`
	TTS *string `json:"tts,omitempty"`
}

func (k *KeyChange) apply(to *Keys) {
	for _, c := range []struct {
		from *string
		to   *string
	}{{k.STT, &to.STT}, {k.LLM, &to.LLM}, {k.TTS, &to.TTS}} {
		if c.from != nil {
			*c.to = strings.TrimSpace(*c.from)
		}
	}
}

// CreateModel adds a connection to an OpenAI-compatible vendor.
func (s *Service) CreateModel(ctx context.Context, orgID string, in ModelInput) (Model, error) {
	now := s.now()
	row := &modelRow{ID: newID(), OrganisationID: orgID, Vendor: VendorOpenAI, Settings: "{}", StatusMessage: "Not checked yet.",
		CreatedAt: now, UpdatedAt: now}
	if in.Name == nil {
		return Model{}, fault.Field("body.name", "a connection needs a name")
	}
	if err := s.apply(ctx, row, in); err != nil {
		return Model{}, err
	}
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.NewSelect().Model((*modelRow)(nil)).Where("organisation_id = ?", orgID).Count(ctx)
		if err != nil {
			return fmt.Errorf("count models: %w", err)
		}
		if n >= maxModels {
			return fault.New(fault.Conflict, "there are %d connections already; delete one first", n)
		}
		res, err := tx.NewInsert().Model(row).On("CONFLICT (organisation_id, name) DO NOTHING").Exec(ctx)
		if err != nil {
			return fmt.Errorf("insert model: %w", err)
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return nameTaken(row.Name)
		}
		return auditModel(ctx, tx, "model.create", nil, row)
	})
	if err != nil {
		return Model{}, err
	}
	return row.model()
}

func nameTaken(name string) error {
	e := fault.New(fault.Conflict, "there is a connection %q already; choose another name", name)
	e.Details = []fault.Detail{{Location: "body.name", Message: e.Message, Value: name}}
	return e
}

// aad binds sealed keys to their organisation and model: a row copied elsewhere does not open.
func (r *modelRow) aad() []byte { return modelAAD(r.OrganisationID, r.ID) }

func modelAAD(orgID, id string) []byte { return []byte("model\x00" + orgID + "\x00" + id) }

// Sealed lists what is stored sealed.
func Sealed() []envelope.Column {
	return []envelope.Column{{Table: "models", Column: "keys", Org: "organisation_id", Key: []string{"id"},
		AAD: func(orgID string, key []string) []byte { return modelAAD(orgID, key[0]) }}}
}

// apply checks in and writes it into a row.
func (s *Service) apply(ctx context.Context, row *modelRow, in ModelInput) error {
	set, err := row.settings()
	if err != nil {
		return err
	}
	if in.Name != nil {
		row.Name = strings.TrimSpace(*in.Name)
		if err := checkName(row.Name); err != nil {
			return err
		}
	}
	if in.BaseURLs != nil {
		set.BaseURLs = *in.BaseURLs
		if err := checkURLs(set.BaseURLs); err != nil {
			return err
		}
	}
	if set.BaseURLs == (URLs{}) {
		return fault.Field("body.baseUrls", "a connection needs the address of at least one service, such as http://127.0.0.1:11434/v1")
	}
	if in.Defaults != nil {
		set.Defaults = *in.Defaults
		if r := set.Defaults.TTSRate; r != 0 && (r < 8000 || r > 48000) {
			return fault.Field("body.defaults.ttsRate", "%d samples a second is not possible; choose 8000 to 48000", r)
		}
	}
	if in.Keys != nil {
		keys, err := s.keys(ctx, row)
		if err != nil {
			return err
		}
		before := keys
		in.Keys.apply(&keys)
		if len(keys.STT) > 4000 || len(keys.LLM) > 4000 || len(keys.TTS) > 4000 {
			return fault.Field("body.keys", "a key has more than 4000 characters; check what was pasted")
		}
		if strings.ContainsAny(keys.STT+keys.LLM+keys.TTS, "\r\n\x00") {
			return fault.Field("body.keys", "a key holds a line break; check what was pasted")
		}
		set.HasKey = HasKey{keys.STT != "", keys.LLM != "", keys.TTS != ""}
		set.noteKeys(before, keys, identity.UserOf(ctx), s.now())
		raw, err := json.Marshal(keys)
		if err != nil {
			return fmt.Errorf("encode keys: %w", err)
		}
		if row.Keys, err = s.c.Sealer.Seal(ctx, row.OrganisationID, raw, row.aad()); err != nil {
			return fmt.Errorf("seal keys: %w", err)
		}
	}
	raw, err := json.Marshal(set)
	row.Settings = string(raw)
	return err
}

func checkURLs(u URLs) error {
	for _, sv := range services {
		raw := u.Of(sv)
		if raw == "" {
			continue
		}
		p, err := url.Parse(raw)
		if err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https" || p.User != nil || len(raw) > 500 {
			return fault.Field("body.baseUrls."+sv, "%q is no address of a server; write it as http://host:port/v1", raw)
		}
	}
	return nil
}

func (s *Service) keys(ctx context.Context, row *modelRow) (Keys, error) {
	var k Keys
	if len(row.Keys) == 0 {
		return k, nil
	}
	raw, err := s.c.Sealer.Open(ctx, row.OrganisationID, row.Keys, row.aad())
	if err != nil {
		return k, fault.Wrap(fault.Unavailable, err, "the keys of connection %q cannot be read: the server's own key has changed; enter them again", row.Name)
	}
	if err := json.Unmarshal(raw, &k); err != nil {
		return k, fmt.Errorf("keys of model %s: %w", row.ID, err)
	}
	return k, nil
}

func modelByID(ctx context.Context, tx *db.Tx, id string) (*modelRow, error) {
	var r modelRow
	err := tx.NewSelect().Model(&r).Where("organisation_id = ?", tx.OrgID()).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no connection %q", id)
	}
	if err != nil {
		return nil, fmt.Errorf("select model: %w", err)
	}
	return &r, nil
}

// Models lists every connection, the built-in ones first.
func (s *Service) Models(ctx context.Context, orgID string) ([]Model, error) {
	out := s.builtIn()
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		var rows []modelRow
		if err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).OrderExpr("id").Limit(maxModels).Scan(ctx); err != nil {
			return fmt.Errorf("list models: %w", err)
		}
		for i := range rows {
			m, err := rows[i].model()
			if err != nil {
				return err
			}
			out = append(out, m)
		}
		return nil
	})
	return out, err
}

// Model finds one connection.
func (s *Service) Model(ctx context.Context, orgID, id string) (Model, error) {
	for _, m := range s.builtIn() {
		if m.ID == id {
			return m, nil
		}
	}
	row, err := s.modelRow(ctx, orgID, id)
	if err != nil {
		return Model{}, err
	}
	return row.model()
}

func (s *Service) modelRow(ctx context.Context, orgID, id string) (row *modelRow, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err = modelByID(ctx, tx, id)
		return err
	})
	return row, err
}

// Connection gives a connection with its keys, for the vendor's adapter.
func (s *Service) Connection(ctx context.Context, orgID, id string) (Connection, error) {
	row, err := s.modelRow(ctx, orgID, id)
	if err != nil {
		return Connection{}, err
	}
	set, err := row.settings()
	if err != nil {
		return Connection{}, err
	}
	keys, err := s.keys(ctx, row)
	return Connection{ID: row.ID, Name: row.Name, Vendor: row.Vendor, BaseURLs: set.BaseURLs, Keys: keys, Defaults: set.Defaults}, err
}

// ChangeModel changes a connection.
func (s *Service) ChangeModel(ctx context.Context, orgID, id string, in ModelInput) (Model, error) {
	var out Model
	if in.Keys != nil {
		if err := s.c.Sealer.Ready(ctx, orgID); err != nil {
			return out, fmt.Errorf("seal keys: %w", err)
		}
	}
	err := s.writeModel(ctx, orgID, id, func(ctx context.Context, tx *db.Tx, row *modelRow) error {
		old, was := row.Name, *row
		if err := s.apply(ctx, row, in); err != nil {
			return err
		}
		if row.Name != old {
			taken, err := tx.NewSelect().Model((*modelRow)(nil)).Where("organisation_id = ?", orgID).Where("name = ?", row.Name).Exists(ctx)
			if err != nil {
				return fmt.Errorf("select model: %w", err)
			}
			if taken {
				return nameTaken(row.Name)
			}
		}
		row.StatusOk, row.StatusMessage, row.CheckedAt = false, "Not checked since it was changed.", nil
		var err error
		if out, err = row.model(); err != nil {
			return err
		}
		return auditModel(ctx, tx, "model.update", &was, row)
	})
	return out, err
}

func (s *Service) writeModel(ctx context.Context, orgID, id string, fn func(context.Context, *db.Tx, *modelRow) error) error {
	if builtInID(id) {
		return fault.New(fault.NotPossible, "the built-in connection %q cannot be changed; add one of your own", id)
	}
	return s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := modelByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := fn(ctx, tx, row); err != nil {
			return err
		}
		row.UpdatedAt = s.now()
		_, err = tx.NewUpdate().Model(row).WherePK().Where("organisation_id = ?", orgID).Exec(ctx)
		return err
	})
}

// DeleteModel removes a connection that no published agent uses.
func (s *Service) DeleteModel(ctx context.Context, orgID, id string) error {
	if builtInID(id) {
		return fault.New(fault.NotPossible, "the built-in connection %q cannot be deleted", id)
	}
	return s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := modelByID(ctx, tx, id)
		if err != nil {
			return err
		}
		var users []string
		err = tx.NewSelect().TableExpr("agents AS a").ColumnExpr("a.slug").
			Join("JOIN agent_versions AS v ON v.agent_id = a.id AND v.number = a.published_version").
			Where("a.organisation_id = ?", orgID).Where("v.organisation_id = ?", orgID).
			Where("v.definition LIKE ?", `%"modelId":"`+id+`"%`).Limit(3).Scan(ctx, &users)
		if err != nil {
			return fmt.Errorf("select the model's agents: %w", err)
		}
		if len(users) > 0 {
			return fault.New(fault.Conflict, "the agent %s uses this connection; publish a version with another one first", strings.Join(users, ", "))
		}
		if _, err = tx.NewDelete().Model(row).WherePK().Where("organisation_id = ?", orgID).Exec(ctx); err != nil {
			return err
		}
		return auditModel(ctx, tx, "model.delete", row, nil)
	})
}

// checkModels tells which connections of a definition the organisation does not have.
func (s *Service) checkModels(ctx context.Context, orgID string, d *Definition) ([]flow.Problem, error) {
	var out []flow.Problem
	for _, m := range []struct {
		service string
		ref     ModelRef
	}{{ServiceSTT, d.Models.STT}, {ServiceLLM, d.Models.LLM}, {ServiceTTS, d.Models.TTS}} {
		if m.ref.Vendor == VendorSim && s.c.NoSimulation {
			out = append(out, flow.Problem{Location: "models." + m.service + ".vendor", Severity: flow.SeverityError,
				Message: "this installation has no simulated vendors; choose another connection under Models"})
		}
		if m.ref.Vendor != VendorOpenAI || m.ref.ModelID == "" {
			continue
		}
		model, err := s.Model(ctx, orgID, m.ref.ModelID)
		at := "models." + m.service + ".modelId"
		switch {
		case fault.Is(err, fault.NotFound):
			out = append(out, flow.Problem{Location: at, Severity: flow.SeverityError, Message: "this connection does not exist any more; choose another under Models"})
		case err != nil:
			return nil, err
		case !slices.Contains(model.Services, m.service):
			out = append(out, flow.Problem{Location: at, Severity: flow.SeverityError,
				Message: fmt.Sprintf("the connection %q has no address for %s; add one or choose another", model.Name, m.service)})
		}
	}
	return out, nil
}
