package campaign

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/campaign/leadfile"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// mostField is how long a field beside the file may be.
const mostField = 256 << 10

func (s *Service) importRoutes(api huma.API) {
	const at = "/api/v1/campaigns/{id}/leads/import"
	const one = "/api/v1/campaigns/{id}/imports/{importId}"
	up := operation("import-campaign-leads", "POST", at, "campaign:import", "Send a list of people, CSV or XLSX, and have it read", http.StatusAccepted)
	up.MaxBodyBytes = mostCSV + 1<<20
	up.Metadata["streams"] = true
	up.Description = "A form (multipart/form-data) with the part `file`: CSV of up to 1 GB in UTF-8, UTF-16 or Windows-1252, or XLSX of up to 100 MB; its first row names the columns. " +
		"With `start` set to true the list is read at once, else it waits for `start-campaign-import`, for a day. The other parts are as in that operation's body; `mapping` and `format` are JSON."
	huma.Register(api, up, s.httpUpload)
	// Told afterwards: huma would read a body that it knows of into memory before the operation sees it.
	form := &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{Type: "object", Required: []string{"file"},
		Properties: map[string]*huma.Schema{"file": {Type: "string", Format: "binary"}, "start": {Type: "boolean"}, "mapping": {Type: "string", Description: "JSON"},
			"format": {Type: "string", Description: "JSON"}, "region": {Type: "string"}, "skipInOtherCampaigns": {Type: "boolean"}}}}}}
	api.OpenAPI().Paths[at].Post.RequestBody = form
	huma.Register(api, operation("list-campaign-imports", "GET", "/api/v1/campaigns/{id}/imports", "campaign:read", "List a campaign's imports, the newest first", 200), s.httpImports)
	huma.Register(api, operation("get-campaign-import", "GET", one, "campaign:read", "How far an import is, and what came of it", 200), s.httpImport)
	huma.Register(api, operation("start-campaign-import", "POST", one+"/start", "campaign:import", "Have an uploaded list read", http.StatusAccepted), s.httpStartImport)
	huma.Register(api, operation("cancel-campaign-import", "POST", one+"/cancel", "campaign:import", "End an import where it is; what was added stays", 200), s.httpCancelImport)
	huma.Register(api, operation("undo-campaign-import", "POST", one+"/undo", "campaign:import", "Remove the leads of an import that were never called", http.StatusAccepted), s.httpUndoImport)
	huma.Register(api, file(operation("download-campaign-import-rejects", "GET", one+"/rejects", "campaign:read", "The rows that could not be read, with the reasons, as CSV", 200), "text/csv"), s.httpRejects)
}

// file declares an answer that is a file.
func file(op huma.Operation, types ...string) huma.Operation {
	content := map[string]*huma.MediaType{}
	for _, t := range types {
		content[t] = &huma.MediaType{Schema: &huma.Schema{Type: "string", Format: "binary"}}
	}
	op.Responses = map[string]*huma.Response{"200": {Description: "The file", Content: content}}
	return op
}

// uploadInput takes a form as it comes: a list is never in memory.
type uploadInput struct {
	ID string `path:"id" maxLength:"64" doc:"The campaign's id"`

	kind string
	body io.Reader
}

// Resolve implements huma.Resolver.
func (in *uploadInput) Resolve(ctx huma.Context) []error {
	in.kind, in.body = ctx.Header("Content-Type"), ctx.BodyReader()
	return nil
}

// ImportSample is what the beginning of a list shows.
type ImportSample struct {
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows" doc:"The first ones"`
}

// UploadedImport is an import whose list has just come.
type UploadedImport struct {
	Import Import       `json:"import"`
	Sample ImportSample `json:"sample"`
}

func sampleOf(i Import, s *leadfile.Sample) ImportSample {
	return ImportSample{Columns: i.Columns, Rows: append([][]string{}, s.Rows...)}
}

type uploadBody struct{ Body UploadedImport }

type importBody struct{ Body Import }

type importPath struct {
	ID       string `path:"id" maxLength:"64" doc:"The campaign's id"`
	ImportID string `path:"importId" maxLength:"64"`
}

type startImportInput struct {
	ID       string `path:"id" maxLength:"64" doc:"The campaign's id"`
	ImportID string `path:"importId" maxLength:"64"`
	Body     struct {
		Format        *leadfile.Format `json:"format,omitempty" doc:"Left out: as it was found"`
		Mapping       leadfile.Mapping `json:"mapping,omitempty" doc:"What the columns are; left out: as the import says"`
		Region        *string          `json:"region,omitempty" maxLength:"2" doc:"Where numbers without a country code are; left out: the campaign's country"`
		SkipElsewhere bool             `json:"skipInOtherCampaigns,omitempty" doc:"Leave out numbers that another campaign calls"`
	}
}

type listImportsInput struct {
	ID     string `path:"id" maxLength:"64" doc:"The campaign's id"`
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

type importsBody struct {
	Body struct {
		Items []Import `json:"items"`
		Next  *string  `json:"next" doc:"Cursor of the next page, null at the end"`
	}
}

// form is what came beside the file.
type form struct {
	start   bool
	options ImportOptions
}

func (f *form) set(name, text string) error {
	var err error
	switch name {
	case "start":
		f.start, err = strconv.ParseBool(text)
	case "skipInOtherCampaigns":
		f.options.SkipElsewhere, err = strconv.ParseBool(text)
	case "region":
		f.options.Region = &text
	case "mapping":
		err = json.Unmarshal([]byte(text), &f.options.Mapping)
	case "format":
		err = json.Unmarshal([]byte(text), &f.options.Format)
	default:
		return fault.Field("body."+name, "the form has no such part; use file, start, mapping, format, region and skipInOtherCampaigns")
	}
	if err != nil {
		return fault.Field("body."+name, "this cannot be read: %s", err)
	}
	return nil
}

func (s *Service) httpUpload(ctx context.Context, in *uploadInput) (*uploadBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	kind, params, err := mime.ParseMediaType(in.kind)
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return nil, fault.Field("body", "send a form (multipart/form-data) with the part file")
	}
	var f form
	var out *uploadBody
	drop := func(cause error) (*uploadBody, error) { // what was kept of a request that failed
		if out != nil {
			if _, err := s.CancelImport(ctx, org, in.ID, out.Body.Import.ID); err != nil {
				return nil, errors.Join(cause, err)
			}
		}
		return nil, cause
	}
	parts := multipart.NewReader(in.body, params["boundary"])
	for {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return drop(unread(err))
		}
		switch {
		case p.FormName() != "file":
			text, err := io.ReadAll(io.LimitReader(p, mostField+1))
			if err == nil && len(text) > mostField {
				err = fault.Field("body."+p.FormName(), "this is longer than %d bytes", mostField)
			}
			if err == nil {
				err = f.set(p.FormName(), string(text))
			}
			if err != nil {
				return drop(unread(err))
			}
		case out != nil:
			return drop(fault.Field("body.file", "send one file"))
		default:
			out = &uploadBody{}
			var sample leadfile.Sample
			if out.Body.Import, sample, err = s.Upload(ctx, org, in.ID, fileName(p.FileName()), p); err != nil {
				return nil, unread(err)
			}
			out.Body.Sample = sampleOf(out.Body.Import, &sample)
		}
	}
	if out == nil {
		return nil, fault.Field("body.file", "the form has no file")
	}
	if !f.start {
		return out, nil
	}
	if out.Body.Import, err = s.StartImport(ctx, org, in.ID, out.Body.Import.ID, f.options); err != nil {
		return drop(err)
	}
	return out, nil
}

// unread is what the sender is told of a body that did not come whole.
func unread(err error) error {
	var f *fault.Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &large):
		return fault.New(fault.TooLarge, "the form is larger than %d MB; send the list in parts", large.Limit>>20)
	case errors.Is(err, io.ErrUnexpectedEOF), strings.HasPrefix(err.Error(), "multipart:"), strings.HasPrefix(err.Error(), "mime:"):
		return fault.Wrap(fault.Invalid, err, "the form did not come whole; send it again")
	}
	return err
}

// fileName is a file's name as it is shown.
func fileName(name string) string {
	name = strings.ToValidUTF8(path.Base(strings.ReplaceAll(name, `\`, "/")), "")
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, name)
	if r := []rune(name); len(r) > nameMax {
		name = string(r[:nameMax])
	}
	if name == "." || name == "/" {
		return "list"
	}
	return name
}

func (s *Service) httpImports(ctx context.Context, in *listImportsInput) (*importsBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.Imports(ctx, org, in.ID, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &importsBody{}
	out.Body.Items = items
	if next != "" {
		out.Body.Next = &next
	}
	return out, nil
}

// onImport does something with an import.
func onImport(ctx context.Context, in *importPath, do func(ctx context.Context, org, campaign, id string) (Import, error)) (*importBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	v, err := do(ctx, org, in.ID, in.ImportID)
	return &importBody{v}, err
}

func (s *Service) httpImport(ctx context.Context, in *importPath) (*importBody, error) {
	return onImport(ctx, in, s.Import)
}

func (s *Service) httpStartImport(ctx context.Context, in *startImportInput) (*importBody, error) {
	o := ImportOptions{Format: in.Body.Format, Mapping: in.Body.Mapping, Region: in.Body.Region, SkipElsewhere: in.Body.SkipElsewhere}
	return onImport(ctx, &importPath{in.ID, in.ImportID}, func(ctx context.Context, org, campaign, id string) (Import, error) {
		return s.StartImport(ctx, org, campaign, id, o)
	})
}

func (s *Service) httpCancelImport(ctx context.Context, in *importPath) (*importBody, error) {
	return onImport(ctx, in, s.CancelImport)
}

func (s *Service) httpUndoImport(ctx context.Context, in *importPath) (*importBody, error) {
	return onImport(ctx, in, s.UndoImport)
}

func (s *Service) httpRejects(ctx context.Context, in *importPath) (*huma.StreamResponse, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	i, err := s.Import(ctx, org, in.ID, in.ImportID)
	if err != nil {
		return nil, err
	}
	return s.stream("text/csv; charset=utf-8", "rejected-"+i.ID+".csv", func(ctx context.Context, w io.Writer) error { return s.WriteRejects(ctx, org, i, w) }), nil
}

// stream answers with a file. An error after the first byte can only cut it short.
func (s *Service) stream(contentType, name string, write func(ctx context.Context, w io.Writer) error) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", contentType)
		hc.SetHeader("Cache-Control", "no-store")
		hc.SetHeader("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
		hc.SetStatus(http.StatusOK)
		if err := write(hc.Context(), hc.BodyWriter()); err != nil && hc.Context().Err() == nil {
			s.c.Log.ErrorContext(hc.Context(), "a download was cut short", "file", name, "error", err)
			panic(http.ErrAbortHandler) // else it would look whole
		}
	}}
}

// WriteRejects writes an import's bad rows as CSV (RFC 4180): the line, the reason and the cells under their columns' names.
func (s *Service) WriteRejects(ctx context.Context, orgID string, i Import, w io.Writer) error {
	out := csv.NewWriter(w)
	head := append([]string{"line", "reason"}, i.Columns...)
	if err := out.Write(harmless(head)); err != nil {
		return err
	}
	for after := int64(0); ; {
		var rows []rejectRow
		err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where("import_id = ?", i.ID).Where("line > ?", after).OrderExpr("line").Limit(reportPage).Scan(ctx)
		})
		if err != nil {
			return fmt.Errorf("read rejected rows: %w", err)
		}
		for _, r := range rows {
			var cells []string
			if err := json.Unmarshal([]byte(r.Cells), &cells); err != nil {
				return fmt.Errorf("rejected row %d: %w", r.Line, err)
			}
			if err := out.Write(harmless(append([]string{strconv.FormatInt(r.Line, 10), r.Reason}, cells...))); err != nil {
				return err
			}
			after = r.Line
		}
		if out.Flush(); out.Error() != nil || len(rows) < reportPage {
			return out.Error()
		}
	}
}

// harmless keeps a spreadsheet from taking cells for formulas (https://owasp.org/www-community/attacks/CSV_Injection). Numbers in
// E.164 begin with a plus: they are only digits after it, and stay.
func harmless(cells []string) []string {
	for i, c := range cells {
		if c != "" && strings.ContainsRune("=+-@\t\r\n", rune(c[0])) && !isNumber(c) {
			cells[i] = "'" + c
		}
	}
	return cells
}

func isNumber(s string) bool {
	digits, ok := strings.CutPrefix(s, "+")
	return ok && digits != "" && len(digits) <= 15 && strings.Trim(digits, "0123456789") == ""
}
