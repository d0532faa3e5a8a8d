// Package campaign calls lists of people with agents: at the right time, at the right rate, with the result back where it
// belongs.
//
// A newcomer's map:
//
//	campaign.go    Campaign, its settings and what is wrong with them; state.go its life
//	service.go     making, changing, starting, stopping; store.go rows; http.go operations; events.go facts
//	lead.go        leads and their attempts; leads.go, leadchange.go, doneleads.go for people who look at them and change them
//	progress.go    how a campaign goes, manyprogress.go several; importformat.go how a list is written, said by hand
//	queue.go       the leads' queue of one campaign, in the database: what the dialler plans is written here, before it is done
//	settle.go      what became of a call, back to its lead
//	runner.go      which campaigns this process dials; turn.go one of them
//	reconcile.go   attempts whose process is gone
//	tally.go       counts, kept with every change
//
//	dial       the dialler itself: pure; pace, policy: how many, and whom; register, leadfile: files
//
// # Nobody is called twice
//
// A campaign is dialled by one process at a time. It holds the campaign for twelve seconds and says so again every four
// seconds. Each time the campaign changes hands its fence grows by one, and every plan is written in a transaction that asks
// for the fence: who lost the campaign, and does not know it yet, writes nothing.
//
// A call is placed only after its attempt was committed, and only within dial.Fresh of it. The attempt's id is the call's id,
// and whoever carries calls takes an id once. An attempt whose process died is looked up in the records of calls, long after
// it could still have been placed; one that left no trace is lost: it counts as an attempt, so that nobody is called too often.
//
// # States
//
//	draft ──► scheduled ──► running ◄──► paused
//	  │            │           │           │
//	  └────────────┴───────────┴───────────┴──► finished or stopped
//
// A draft is checked when it is started; scheduled is one whose time begins later. finished: every lead is done. stopped: somebody
// ended it. Both can be archived. docs/campaigns.md draws it with what leads to what.
package campaign
