package voice

// converter brings a vendor's audio to the leg's rate.
type converter struct {
	from, to int
	last     int16
	pos      int
}

func newConverter(from, to int) *converter { return &converter{from: from, to: to} }

func (c *converter) reset() { c.last, c.pos = 0, 0 }

// add appends the converted pcm to dst.
func (c *converter) add(dst, pcm []int16) []int16 {
	if c.from == c.to {
		return append(dst, pcm...)
	}
	for _, v := range pcm {
		for ; c.pos < c.to; c.pos += c.from {
			dst = append(dst, c.last+int16((int(v)-int(c.last))*c.pos/c.to))
		}
		c.pos -= c.to
		c.last = v
	}
	return dst
}

// flush appends what the filter still holds.
func (c *converter) flush(dst []int16) []int16 { return dst }
