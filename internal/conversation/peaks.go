package conversation

// maxPeaks bounds the waveform kept of a call: when it is full, neighbours are merged and each point stands
// for twice as many frames. A call of any length has between half of it and all of it.
const maxPeaks = 2048

// peaks is the waveform of both lanes: the loudest sample of every span frames, on a scale of 0 to 255.
type peaks struct {
	span          int // frames a point
	frames        int64
	inSpan        int
	caller, agent []byte
}

// add takes the loudest sample of one more frame.
func (p *peaks) add(caller, agent byte) {
	if p.span == 0 {
		p.span = 1
	}
	if p.inSpan == 0 {
		if len(p.caller) == maxPeaks {
			p.merge()
		}
		p.caller, p.agent = append(p.caller, caller), append(p.agent, agent)
	} else {
		i := len(p.caller) - 1
		p.caller[i], p.agent[i] = max(p.caller[i], caller), max(p.agent[i], agent)
	}
	p.frames++
	if p.inSpan++; p.inSpan >= p.span {
		p.inSpan = 0
	}
}

func (p *peaks) merge() {
	for i := range maxPeaks / 2 {
		p.caller[i] = max(p.caller[2*i], p.caller[2*i+1])
		p.agent[i] = max(p.agent[2*i], p.agent[2*i+1])
	}
	p.caller, p.agent = p.caller[:maxPeaks/2], p.agent[:maxPeaks/2]
	p.span *= 2
}

// addChunk takes the frames of a recording's chunk.
func (p *peaks) addChunk(l layout, data []byte) {
	for len(data) >= l.frameBytes() {
		p.add(l.loudest(data[:l.laneBytes()]), l.loudest(data[l.laneBytes():l.frameBytes()]))
		data = data[l.frameBytes():]
	}
}

// loudest is the largest magnitude of a lane's frame, 0 to 255.
func (l layout) loudest(lane []byte) byte {
	var top int
	switch l.format {
	case formatMuLaw:
		// The code's complement grows with the magnitude: one decode a frame is enough (G.711 table 2).
		var m byte
		for _, b := range lane {
			m = max(m, ^b&0x7f)
		}
		top = -int(muLawLinear[^(m | 0x80)])
	case formatALaw:
		var m byte
		for _, b := range lane {
			m = max(m, (b^0x55)&0x7f)
		}
		top = int(aLawLinear[(m|0x80)^0x55]) - 8
	default:
		for i := 0; i+1 < len(lane); i += 2 {
			v := int(int16(uint16(lane[i]) | uint16(lane[i+1])<<8))
			top = max(top, v, -v)
		}
	}
	return byte(min(max(top, 0)/128, 255))
}

// at gives n points between 0 and 1. Where there are fewer, points are repeated.
func (p *peaks) at(n int) (caller, agent []float64) {
	caller, agent = make([]float64, n), make([]float64, n)
	have := len(p.caller)
	if have == 0 {
		return caller, agent
	}
	for i := range n {
		from := i * have / n
		to := max((i+1)*have/n, from+1)
		for j := from; j < to; j++ {
			caller[i] = max(caller[i], float64(p.caller[j])/255)
			agent[i] = max(agent[i], float64(p.agent[j])/255)
		}
	}
	return caller, agent
}

// clone copies what a reader keeps.
func (p *peaks) clone() peaks {
	c := *p
	c.caller, c.agent = append([]byte(nil), p.caller...), append([]byte(nil), p.agent...)
	return c
}
