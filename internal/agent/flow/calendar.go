package flow

import (
	"context"
	"errors"
	"time"
)

// Calendar keeps appointments. The machine calls it while a caller waits: it honours its context.
type Calendar interface {
	// Busy gives the starts of the appointments in [from, to), in order.
	Busy(ctx context.Context, from, to time.Time) ([]time.Time, error)
	// Find gives the caller's appointments that are still to come, earliest first.
	Find(ctx context.Context, q Query) ([]Appointment, error)
	// Book makes an appointment, or gives ErrTaken.
	Book(ctx context.Context, b Booking) (Appointment, error)
	// Move gives an appointment another start, or ErrTaken, or ErrGone.
	Move(ctx context.Context, id string, start time.Time) (Appointment, error)
	// Cancel ends an appointment, or gives ErrGone.
	Cancel(ctx context.Context, id string) error
}

// What a Calendar may answer.
var (
	ErrTaken = errors.New("flow: that time is taken")
	ErrGone  = errors.New("flow: there is no such appointment any more")
)

// Appointment is one that was made.
type Appointment struct {
	ID    string
	Code  string // digits that name it to its owner
	Start time.Time
	Phone string
}

// Query looks appointments up, by telephone number or by code. Both empty finds nothing.
type Query struct {
	Phone string
	Code  string
	After time.Time
}

// Booking is a wish for an appointment.
type Booking struct {
	Start   time.Time
	Minutes int
	Phone   string
	Name    string
}
