// Package app is the composition root: it reads the settings, builds every part, joins them and starts them.
// Read it top to bottom:
//
//	config.go      every setting, and what can be wrong with it
//	settings.go    the settings file
//	app.go         New builds, Run starts in order and stops in reverse
//	roles.go       which parts a role starts, and what processes of several roles must share
//	cluster.go     who else is there; the calls of processes that are gone
//	forward.go     a gateway sends to the media process that has a call; internal.go: how that one knows it
//	web.go         what answers HTTP; http.go: what the gateway mounts
//	calls.go       a leg becomes a conversation with a record
//	vendors.go     which speech and language services an agent uses
//	flowbrain.go   a flow answers a call
//	talk.go        browser calls
//	feed.go        facts become the realtime feed
//	quickstart.go  the one-time link, and what is said at the start
//	admin.go       what the command line does without a server
//	orgexport.go   an organisation as one file; orgimport.go, orgplace.go and orgaudit.go: from a file; orgerase.go: erased, with proof
package app
