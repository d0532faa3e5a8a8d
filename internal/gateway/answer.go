package gateway

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// humaContext gives the embedded interface a name that is not one of its methods.
type humaContext huma.Context

// answer holds back what an operation answers, so that it can be kept or replaced before it is sent.
type answer struct {
	humaContext
	ctx    context.Context
	status int
	header http.Header
	body   bytes.Buffer
}

func holdBack(inner huma.Context, ctx context.Context) *answer {
	return &answer{humaContext: inner, ctx: ctx, header: http.Header{}}
}

// Context implements huma.Context.
func (a *answer) Context() context.Context { return a.ctx }

// Unwrap lets the adapter find its own context.
func (a *answer) Unwrap() huma.Context { return a.humaContext }

// SetStatus implements huma.Context.
func (a *answer) SetStatus(code int) { a.status = code }

// Status implements huma.Context.
func (a *answer) Status() int { return a.status }

// SetHeader implements huma.Context.
func (a *answer) SetHeader(name, value string) { a.header.Set(name, value) }

// AppendHeader implements huma.Context.
func (a *answer) AppendHeader(name, value string) { a.header.Add(name, value) }

// BodyWriter implements huma.Context.
func (a *answer) BodyWriter() io.Writer { return &a.body }

// send gives the answer to who asked.
func (a *answer) send() {
	if a.status == 0 && a.body.Len() == 0 && len(a.header) == 0 {
		return // the operation wrote by itself, or nothing
	}
	for name, values := range a.header {
		for i, v := range values {
			if i == 0 {
				a.humaContext.SetHeader(name, v)
			} else {
				a.humaContext.AppendHeader(name, v)
			}
		}
	}
	if a.status != 0 {
		a.humaContext.SetStatus(a.status)
	}
	if a.body.Len() > 0 {
		_, _ = a.humaContext.BodyWriter().Write(a.body.Bytes()) // the connection is gone
	}
}
