package store

import "errors"

// Errors of this package. They come wrapped in words a person can act on; test with [errors.Is].
var (
	// ErrNotFound: there is no such record, or its client is deleted.
	ErrNotFound = errors.New("not found")

	// ErrExists: a record with this id, serial or access key is already there.
	ErrExists = errors.New("exists already")

	// ErrConflict: others changed the same keys again and again. Nothing was written; try again.
	ErrConflict = errors.New("changed by others at the same time")

	// ErrRepeated: a request with this name was carried out already. Nothing was written.
	ErrRepeated = errors.New("carried out already")

	// ErrManyRequests: as many requests of the client are remembered as may be. Nothing was written.
	ErrManyRequests = errors.New("too many requests are remembered")

	// ErrLimit: the client has as many of these as it may have.
	ErrLimit = errors.New("limit reached")

	// ErrInvalid: an id is empty, too long or holds a character that keys cannot hold.
	ErrInvalid = errors.New("invalid id")

	// ErrRevoked: the certificate was revoked, so none can follow it.
	ErrRevoked = errors.New("revoked")

	// ErrTooLarge: one Update read more than MaxReads keys, or wrote more than MaxKeys keys or MaxBytes bytes. Nothing was written.
	ErrTooLarge = errors.New("too large for one update")

	// ErrReadOnly: writes are refused, because the disk is almost full or has failed. Reads go on.
	ErrReadOnly = errors.New("the store is read-only")

	// ErrFailed: a commit failed. Nothing can be read or written until the engine has opened its files again.
	ErrFailed = errors.New("the store has failed")

	// ErrClosed: the engine or the watcher was closed.
	ErrClosed = errors.New("the store is closed")

	// ErrLocked: another process has the directory open.
	ErrLocked = errors.New("the store is locked")

	// ErrNoSpace: the disk is too full to open the directory.
	ErrNoSpace = errors.New("no space left for the store")

	// ErrUnreadable: the directory cannot be opened, or what is in it is damaged.
	ErrUnreadable = errors.New("the store cannot be read")

	// ErrSchema: the records were written by a newer XLB, or by something else.
	ErrSchema = errors.New("unknown schema version")
)
