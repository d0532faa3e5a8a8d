package donotcall

import (
	"context"
	"io"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func (s *Service) numberRoutes(api huma.API) {
	const at = "/lists/{id}/numbers"
	huma.Register(api, operation("list-do-not-call-numbers", "GET", at, permRead, "List a list's numbers, in order", 200), s.httpNumbers)
	huma.Register(api, operation("add-do-not-call-numbers", "POST", at, permUpdate, "Put numbers on a list: nobody calls them from now on", 200), s.httpAdd)
	// They are in the body, so that no number stands in a URL, and so in no log.
	huma.Register(api, operation("remove-do-not-call-numbers", "POST", at+"/remove", permUpdate, "Take numbers off a list, for a reason", 200), s.httpRemove)
	huma.Register(api, takesFile(operation("import-do-not-call-numbers", "POST", "/lists/{id}/import", permUpdate, "Put a file of numbers on a list: CSV or text, a number on each line", 200),
		mostListFile, "text/csv", "text/plain"), s.httpImport)
	huma.Register(api, givesFile(operation("export-do-not-call-numbers", "GET", "/lists/{id}/export", permRead, "A list as CSV", 200), "text/csv"), s.httpExport)
	huma.Register(api, operation("look-up-do-not-call", "POST", "/lookup", permRead, "Tell which lists and registers hold numbers, and what the people allowed", 200), s.httpLookup)
	huma.Register(api, operation("opt-out", "POST", "/opt-outs", permCreate, "Take a person's wish not to be called: no campaign calls them from now on", 201), s.httpOptOut)
}

// DoNotCallNumbers is a page of numbers.
type DoNotCallNumbers struct {
	Items []Entry `json:"items" nullable:"false"`
	Next  *string `json:"next" doc:"Cursor of the next page, null at the end"`
}

type numbersInput struct {
	ID     string `path:"id" maxLength:"64" doc:"The list's id"`
	Search string `query:"search" maxLength:"16" doc:"How the number begins: +1415"`
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"500"`
}

func (s *Service) httpNumbers(ctx context.Context, in *numbersInput) (*body[DoNotCallNumbers], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.Entries(ctx, org, in.ID, in.Search, in.Cursor, in.Limit)
	return answer(DoNotCallNumbers{items, cursorOf(next)}, err)
}

type addNumbersInput struct {
	ID string `path:"id" maxLength:"64" doc:"The list's id"`

	Body struct {
		Numbers []string `json:"numbers" minItems:"1" maxItems:"5000" nullable:"false" doc:"As people write them"`
		Country string   `json:"country,omitempty" maxLength:"2" doc:"Where numbers without a country code are, ISO 3166-1 alpha-2"`
		Source  Source   `json:"source,omitempty" enum:"api,person" doc:"person: somebody does it by hand; left out: api"`
		Reason  string   `json:"reason,omitempty" maxLength:"1000"`
	}
}

func (s *Service) httpAdd(ctx context.Context, in *addNumbersInput) (*body[Added], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	source := in.Body.Source
	if source == "" {
		source = SourceAPI
	}
	return answer(s.Add(ctx, org, in.ID, NewNumbers{Numbers: in.Body.Numbers, Country: in.Body.Country, Source: source, Reason: in.Body.Reason}))
}

type removeNumbersInput struct {
	ID string `path:"id" maxLength:"64" doc:"The list's id"`

	Body struct {
		Numbers []string `json:"numbers" minItems:"1" maxItems:"5000" nullable:"false"`
		Country string   `json:"country,omitempty" maxLength:"2" doc:"Where numbers without a country code are, ISO 3166-1 alpha-2"`
		Reason  string   `json:"reason" minLength:"1" maxLength:"1000" doc:"Why they may be called again"`
	}
}

func (s *Service) httpRemove(ctx context.Context, in *removeNumbersInput) (*body[Removed], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Remove(ctx, org, in.ID, in.Body.Numbers, in.Body.Country, in.Body.Reason))
}

type importNumbersInput struct {
	upload
	ID      string `path:"id" maxLength:"64" doc:"The list's id"`
	Country string `query:"country" maxLength:"2" doc:"Where numbers without a country code are, ISO 3166-1 alpha-2"`
	Reason  string `query:"reason" maxLength:"1000" doc:"Kept with each number"`
}

// ListImport is what became of a file of numbers.
type ListImport struct {
	Intake
	Added int64 `json:"added" doc:"They were not on the list"`
}

func (s *Service) httpImport(ctx context.Context, in *importNumbersInput) (*body[ListImport], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.ImportList(ctx, org, in.ID, in.Country, in.Reason, in.r))
}

func (s *Service) httpExport(ctx context.Context, in *listPath) (*huma.StreamResponse, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.noteExport(ctx, org, in.ID); err != nil {
		return nil, err
	}
	name := "do-not-call-" + s.now().UTC().Format("20060102T150405Z") + ".csv"
	return s.stream("text/csv; charset=utf-8", name, func(ctx context.Context, w io.Writer) error { return s.Export(ctx, org, in.ID, w) }), nil
}

type lookupInput struct {
	Body struct {
		Numbers []string `json:"numbers" minItems:"1" maxItems:"500" nullable:"false"`
		Country string   `json:"country,omitempty" maxLength:"2" doc:"Where numbers without a country code are, ISO 3166-1 alpha-2"`
	}
}

// DoNotCallLookup is what is known of numbers.
type DoNotCallLookup struct {
	Items []Found `json:"items" nullable:"false" doc:"In the order they were asked for"`
}

func (s *Service) httpLookup(ctx context.Context, in *lookupInput) (*body[DoNotCallLookup], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	items, err := s.Lookup(ctx, org, in.Body.Numbers, in.Body.Country)
	return answer(DoNotCallLookup{items}, err)
}

type optOutInput struct {
	Body struct {
		Number  string `json:"number" minLength:"1" maxLength:"64"`
		Country string `json:"country,omitempty" maxLength:"2" doc:"Where a number without a country code is, ISO 3166-1 alpha-2"`
		Source  Source `json:"source,omitempty" enum:"api,person,voice,key" doc:"How the person said it; left out: api"`
		Reason  string `json:"reason,omitempty" maxLength:"1000"`
		CallID  string `json:"callId,omitempty" maxLength:"64" doc:"In which they said it"`
	}
}

func (s *Service) httpOptOut(ctx context.Context, in *optOutInput) (*body[Entry], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	if len(in.Body.Reason) > 0 && clip(in.Body.Reason) == "" {
		return nil, fault.Field("body.reason", "write a reason in words")
	}
	o := campaign.OptOut{Source: string(in.Body.Source), Reason: in.Body.Reason, CallID: in.Body.CallID}
	if o.Source == "" {
		o.Source = string(SourceAPI)
	}
	return answer(s.OptOut(ctx, org, in.Body.Number, in.Body.Country, o))
}
