// Package app is the composition root: it reads the settings, builds every part, joins them and starts them.
// Read it top to bottom:
//
//	config.go      every setting, and what can be wrong with it
//	settings.go    the settings file
//	app.go         New builds, Run starts in order and stops in reverse
//	http.go        what the gateway mounts
//	calls.go       a leg becomes a conversation with a record
//	vendors.go     which speech and language services an agent uses
//	flowbrain.go   a flow answers a call
//	talk.go        browser calls
//	feed.go        facts become the realtime feed
//	quickstart.go  the one-time link, and what is said at the start
//	admin.go       what the command line does without a server
package app
