package mediastream

import (
	"math"
	"strings"
)

const toneDigits = "123A456B789C*0#D"

var (
	toneRows = [4]float64{697, 770, 852, 941} // ITU-T Q.23
	toneCols = [4]float64{1209, 1336, 1477, 1633}
)

const (
	toneFrames  = 5  // 100 ms on
	pauseFrames = 5  // 100 ms off
	commaFrames = 25 // half a second
	toneLevel   = 6000.0
)

// toneQueue is the digits that wait to be sent as tones.
type toneQueue struct {
	digits []byte
	step   int // frames of the first digit that were sent
}

func (q *toneQueue) add(digits string) bool {
	if len(q.digits)+len(digits) > maxDigits {
		return false
	}
	q.digits = append(q.digits, digits...)
	return true
}

// next fills out with the next 20 ms of the first digit, tone or pause.
func (q *toneQueue) next(out []int16) bool {
	if len(q.digits) == 0 {
		return false
	}
	d, length := q.digits[0], toneFrames+pauseFrames
	if d == ',' {
		length = commaFrames
	}
	if d == ',' || q.step >= toneFrames {
		clear(out)
	} else {
		i := strings.IndexByte(toneDigits, d)
		row, col := toneRows[i/4], toneCols[i%4]
		for k := range out {
			t := 2 * math.Pi * float64(q.step*len(out)+k) / rate
			out[k] = int16(toneLevel * (math.Sin(row*t) + math.Sin(col*t)))
		}
	}
	if q.step++; q.step >= length {
		q.step = 0
		q.digits = append(q.digits[:0], q.digits[1:]...)
	}
	return true
}
