// Package fault is the one domain error: a stable code, a sentence for a person, the field at fault and a
// cause. One table maps codes to HTTP (problem+json, RFC 9457); signalling maps them to SIP.
package fault

import (
	"errors"
	"fmt"
	"net/http"
)

// Code is stable: programs may compare it.
type Code string

// The codes.
const (
	Invalid      Code = "invalid"       // the input is wrong; Field says where
	NotFound     Code = "not_found"     // it is not there, or not yours
	Conflict     Code = "conflict"      // it exists, or changed meanwhile
	Unauthorized Code = "unauthorized"  // who are you
	Forbidden    Code = "forbidden"     // you may not
	TooLarge     Code = "too_large"     //
	RateLimited  Code = "rate_limited"  //
	Unavailable  Code = "unavailable"   // try again later
	Timeout      Code = "timeout"       // somebody else was too slow
	Upstream     Code = "upstream"      // somebody else failed
	Internal     Code = "internal"      // our fault
	NotPossible  Code = "not_possible"  // well-formed, but not in this state
	Changed      Code = "changed"       // it is no longer what If-Match names
	LimitReached Code = "limit_reached" // the organisation's plan does not include more

	Reauthenticate Code = "reauthenticate" // prove again who you are, then try again
)

var status = map[Code]int{
	Invalid: http.StatusUnprocessableEntity, NotFound: http.StatusNotFound, Conflict: http.StatusConflict,
	Unauthorized: http.StatusUnauthorized, Forbidden: http.StatusForbidden, TooLarge: http.StatusRequestEntityTooLarge,
	RateLimited: http.StatusTooManyRequests, Unavailable: http.StatusServiceUnavailable,
	Timeout: http.StatusGatewayTimeout, Upstream: http.StatusBadGateway, Internal: http.StatusInternalServerError,
	NotPossible: http.StatusConflict, Changed: http.StatusPreconditionFailed, LimitReached: http.StatusForbidden, Reauthenticate: http.StatusForbidden,
}

// Detail is one thing wrong with an input.
type Detail struct {
	Location string `json:"location,omitempty" doc:"Where: body.name, query.limit"`
	Message  string `json:"message" doc:"What is wrong, and the remedy"`
	Value    any    `json:"value,omitempty" doc:"What was given"`
}

// Error is a domain error. Its JSON form is problem+json.
type Error struct {
	Code    Code     `json:"code" doc:"Stable code that programs may compare"`
	Title   string   `json:"title" doc:"Short name of the HTTP status"`
	Status  int      `json:"status" doc:"HTTP status"`
	Message string   `json:"detail" doc:"A sentence for a person: what is wrong and the remedy"`
	Details []Detail `json:"errors,omitempty"`
	cause   error
}

// New makes an error with a sentence that names the remedy.
func New(c Code, format string, args ...any) *Error {
	e := &Error{Code: c, Status: StatusOf(c), Message: fmt.Sprintf(format, args...)}
	e.Title = http.StatusText(e.Status)
	return e
}

// Field makes an Invalid error that names the field.
func Field(location, format string, args ...any) *Error {
	e := New(Invalid, format, args...)
	e.Details = []Detail{{Location: location, Message: e.Message}}
	return e
}

// Wrap keeps cause for the log; it is never shown to the caller.
func Wrap(c Code, cause error, format string, args ...any) *Error {
	e := New(c, format, args...)
	e.cause = cause
	return e
}

// Error implements error.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Message + ": " + e.cause.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// GetStatus gives the HTTP status.
func (e *Error) GetStatus() int { return e.Status }

// ContentType implements huma's content type filter.
func (e *Error) ContentType(string) string { return "application/problem+json" }

// StatusOf maps a code to its HTTP status.
func StatusOf(c Code) int {
	if s, ok := status[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// CodeFor gives the code that stands for an HTTP status.
func CodeFor(httpStatus int) Code {
	switch httpStatus {
	case http.StatusUnauthorized:
		return Unauthorized
	case http.StatusForbidden:
		return Forbidden
	case http.StatusNotFound:
		return NotFound
	case http.StatusConflict:
		return Conflict
	case http.StatusPreconditionFailed:
		return Changed
	case http.StatusRequestEntityTooLarge:
		return TooLarge
	case http.StatusTooManyRequests:
		return RateLimited
	case http.StatusServiceUnavailable:
		return Unavailable
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return Timeout
	case http.StatusBadGateway:
		return Upstream
	}
	if httpStatus >= http.StatusInternalServerError {
		return Internal
	}
	return Invalid
}

// CodeOf gives the code of err: Internal for errors that are not faults, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// Is reports whether err is a fault of code c.
func Is(err error, c Code) bool { return err != nil && CodeOf(err) == c }
