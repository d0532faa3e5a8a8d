package pace

import "math"

// budget counts the answered and the dropped calls of a day.
type budget struct {
	share             float64
	day               int64
	answered, dropped int
}

// on begins a new day when day is one. A clock that goes back leaves the day as it is: it is the stricter one.
func (b *budget) on(day int64) {
	if day > b.day {
		b.day, b.answered, b.dropped = day, 0, 0
	}
}

// left is how many of the next answered calls may be dropped, if no other is answered in between.
func (b *budget) left() int {
	return max(0, int(math.Floor(b.share*float64(b.answered)+1e-9))-b.dropped)
}

func (b *budget) now() float64 {
	if b.answered == 0 {
		return 0
	}
	return float64(b.dropped) / float64(b.answered)
}
