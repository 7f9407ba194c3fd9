//go:build !linux && !darwin && !freebsd

package store

import "os"

// flock leaves the lock to Badger on this system.
func flock(*os.File) error { return nil }

// syncDir does nothing: this system has no such call.
func syncDir(string) error { return nil }
