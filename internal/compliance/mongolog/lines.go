package mongolog

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Lines is the collection of the processes' own logs.
const Lines = "process_log"

// Line is a line of a process's log. Its number and the name of the process's run make its key.
type Line struct {
	N    int64
	At   time.Time
	Text string
}

// WriteLines keeps lines of a process's log before it returns. run names the process and when it began, so that what is written twice is
// there once.
func (s *Sink) WriteLines(ctx context.Context, run string, lines []Line) error {
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	c, err := s.collection(Lines)
	if err != nil {
		return err
	}
	documents := make([]any, len(lines))
	for i, l := range lines {
		documents[i] = bson.D{{Key: "_id", Value: fmt.Sprintf("%s/%d", run, l.N)}, {Key: "at", Value: l.At}, {Key: "process", Value: run}, {Key: "line", Value: l.Text}}
	}
	_, err = c.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	if _, there := duplicates(err, len(lines)); err == nil || there {
		return nil
	}
	return s.fault(err)
}
