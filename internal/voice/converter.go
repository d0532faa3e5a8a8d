package voice

import "github.com/parley-voice/parley/internal/media/audio"

// converter brings a vendor's audio to the leg's rate; the same rate passes through.
type converter struct {
	from int
	res  *audio.Resampler // nil: nothing to do
	tail []int16          // silence that pushes the end of a sentence out of the filter
}

func newConverter(from, to int) (*converter, error) {
	c := &converter{from: from}
	if from == to {
		return c, nil
	}
	var err error
	if c.res, err = audio.NewResampler(from, to); err != nil {
		return nil, err
	}
	c.tail = make([]int16, c.res.Delay())
	return c, nil
}

// reset forgets the sentence before.
func (c *converter) reset() {
	if c.res != nil {
		c.res.Reset()
	}
}

// add appends the converted pcm to dst.
func (c *converter) add(dst, pcm []int16) []int16 {
	if c.res == nil {
		return append(dst, pcm...)
	}
	return c.res.Process(dst, pcm)
}

// flush appends what the filter still holds.
func (c *converter) flush(dst []int16) []int16 { return c.add(dst, c.tail) }
