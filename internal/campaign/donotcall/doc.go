// Package donotcall keeps who is not to be called: an organisation's lists, and the public registers that it imports. It
// answers campaigns before every call, and takes opt-outs, which are honoured by the next decision of any campaign.
//
//	service.go    Service, its Config
//	lists.go      lists; numbers.go what is on them; optout.go opt-outs
//	number.go     telephone numbers as people and registers write them
//	intake.go     files of numbers, line by line
//	registers.go  public registers: importing, replacing; cache.go their files on this machine
//	facts.go      what campaigns ask (campaign.Facts), and how old a register may be (campaign.Preflighter)
//	store.go      rows; http.go, http_numbers.go, http_registers.go operations
//
// A register is a file of package register among the organisation's blobs. Each process that asks it keeps a copy on its own
// disk and reads it there. Another version takes the place of the one before in one transaction: a decision asks the one or
// the other, and its snapshot says which.
package donotcall
