// Package audio holds what is done to sound on a call: codecs (G.711, G.722, Opus), resampling, WAV files
// and voice activity detection.
//
// Everything works on mono signed 16-bit PCM. Codecs, Resampler and Detector keep state between calls and
// are for one stream and one goroutine each; none of them allocates once it is warm. The package knows
// nothing of packets, legs or clocks.
//
//   - codec.go: the Codec interface and the names by which SDP knows the codecs
//   - g711.go, g722.go, opus.go: the codecs
//   - resample.go: the polyphase Resampler
//   - wav.go, wavwrite.go: WAV in and out
//   - vad.go and vad_*.go: the WebRTC voice activity detector; detector.go: with an adaptive energy floor
package audio
