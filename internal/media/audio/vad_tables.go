package audio

// The constants of the WebRTC voice activity detector: the trained model, its limits and the thresholds of
// the four modes. They are the algorithm; see LICENSE-webrtc for where they come from.

const (
	vadBands     = 6
	vadGaussians = 2 * vadBands // of each model, two a band

	vadMinEnergy       = 10
	vadNoiseUpdate     = 655  // Q15
	vadSpeechUpdate    = 6554 // Q15
	vadBackEta         = 154  // Q8
	vadMinStd          = 384  // Q7
	vadMaxSpeechFrames = 6
)

// Weights of the bands in the global test.
var vadSpectrumWeight = [vadBands]int32{6, 8, 10, 12, 14, 16}

// Limits of the means. The difference is in Q5, the others in Q7.
var (
	vadMinDifference = [vadBands]int16{544, 544, 576, 576, 576, 576}
	vadMaxSpeech     = [vadBands]int16{11392, 11392, 11520, 11520, 11520, 11520}
	vadMaxNoise      = [vadBands]int16{9216, 9088, 8960, 8832, 8704, 8576}
	vadMinMean       = [2]int16{640, 768}
)

// The initial models: weights in Q7, means and standard deviations in Q7.
var (
	vadNoiseWeights  = [vadGaussians]int16{34, 62, 72, 66, 53, 25, 94, 66, 56, 62, 75, 103}
	vadSpeechWeights = [vadGaussians]int16{48, 82, 45, 87, 50, 47, 80, 46, 83, 41, 78, 81}
	vadNoiseMeans    = [vadGaussians]int16{6738, 4892, 7065, 6715, 6771, 3369, 7646, 3863, 7820, 7266, 5020, 4362}
	vadSpeechMeans   = [vadGaussians]int16{8306, 10085, 10078, 11823, 11843, 6309, 9473, 9571, 10879, 7581, 8180, 7483}
	vadNoiseStds     = [vadGaussians]int16{378, 1064, 493, 582, 688, 593, 474, 697, 475, 688, 421, 455}
	vadSpeechStds    = [vadGaussians]int16{555, 505, 567, 524, 585, 1231, 509, 828, 492, 1540, 1079, 850}
)

// vadMode is the thresholds of one mode, each for frames of 10, 20 and 30 ms.
type vadMode struct {
	hangShort, hangLong [3]int16 // frames that count as speech after the last one that was
	local, global       [3]int32 // thresholds of the likelihood ratio, for one band and for all
}

var vadModes = [4]vadMode{
	{[3]int16{8, 4, 3}, [3]int16{14, 7, 5}, [3]int32{24, 21, 24}, [3]int32{57, 48, 57}},
	{[3]int16{8, 4, 3}, [3]int16{14, 7, 5}, [3]int32{37, 32, 37}, [3]int32{100, 80, 100}},
	{[3]int16{6, 3, 2}, [3]int16{9, 5, 3}, [3]int32{82, 78, 82}, [3]int32{285, 260, 285}},
	{[3]int16{6, 3, 2}, [3]int16{9, 5, 3}, [3]int32{94, 94, 94}, [3]int32{1100, 1050, 1100}},
}

// Filters: the all-pass pairs that split a band in two (Q15) and halve the rate (Q13), the high-pass that
// takes away what is below 80 Hz (Q14), and the offsets of the log energies (Q4).
var (
	vadSplit      = [2]int32{20972, 5571}
	vadHalve      = [2]int32{5243, 1392}
	vadHighZeros  = [3]int32{6631, -13262, 6631}
	vadHighPoles  = [3]int32{16384, -7756, 5620}
	vadLogOffsets = [vadBands]int16{368, 368, 272, 176, 176, 176}
)

const (
	vadLogConst = 24660    // 160 * log10(2), Q9
	vadLogInt   = 14 << 10 // log2 of a number of 15 bits without its fraction, Q10
)
