package rtp

import (
	"errors"
	"syscall"
)

// portTaken tells a port in use from an address that cannot be bound at all.
func portTaken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
