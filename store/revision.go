package store

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"time"
)

// KeptRevisions is how many revisions of a frontend are kept.
const KeptRevisions = 100

// FrontendRevision is a frontend as its owner had set it: the record after its n-th change.
type FrontendRevision struct {
	Number  uint64    `json:"number"` // counts the changes of the frontend from 1
	At      time.Time `json:"at"`
	ActorID string    `json:"actor,omitempty"` // who made it; empty: nobody knows any more

	Frontend Frontend `json:"frontend"`
}

// settings is what an owner sets of a frontend, and nothing that the server notes by itself.
func (f Frontend) settings() Frontend {
	return Frontend{Name: f.Name, Active: f.Active, Strategy: f.Strategy, RouteTimeoutSec: f.RouteTimeoutSec, Routes: f.Routes, Options: f.Options}
}

func frontendRevisionKey(clientID, uuid string, number uint64) string {
	return key(kindRevision, clientID, uuid, fmt.Sprintf("%016x", number))
}

// keepRevision writes what a frontend is now beside it, when that is something else than before, and gives it the next
// number. The one that is too many goes. Revisions are compressed, because most of one is in the next one, too.
func keepRevision(ctx context.Context, tx Txn, old Frontend, f *Frontend) error {
	if old.Number > 0 && reflect.DeepEqual(old.settings(), f.settings()) {
		return nil
	}
	f.Number = old.Number + 1
	revision := FrontendRevision{Number: f.Number, At: f.UpdatedAt, Frontend: f.settings()}
	if entries, _ := ctx.Value(auditKey{}).([]Audit); len(entries) > 0 {
		revision.ActorID = entries[0].ActorID
	}
	data, err := json.Marshal(revision)
	if err != nil {
		return fmt.Errorf("encode a revision: %w", err)
	}
	packed, err := compressed(data)
	if err != nil {
		return err
	}
	tx.Set(frontendRevisionKey(f.ClientID, f.UUID, f.Number), packed)
	if f.Number > KeptRevisions {
		tx.Delete(frontendRevisionKey(f.ClientID, f.UUID, f.Number-KeptRevisions))
	}
	return nil
}

func compressed(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

// maxRevision bounds what is unpacked: a record that is damaged could say that it is endless.
const maxRevision = 16 << 20

func readFrontendRevision(key string, packed []byte) (FrontendRevision, error) {
	data, err := unpacked(key, packed)
	if err != nil {
		return FrontendRevision{}, err
	}
	return decode[FrontendRevision](key, data, 0)
}

// unpacked undoes compressed.
func unpacked(key string, packed []byte) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxRevision))
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w: %v", key, ErrUnreadable, err)
	}
	return data, nil
}

// FrontendRevisions lists the revisions of a frontend before the number `before` (0: from the newest), newest first, at
// most limit of them (0 for all). ErrNotFound without the frontend.
func (s *Store) FrontendRevisions(ctx context.Context, clientID, uuid string, before uint64, limit int) ([]FrontendRevision, error) {
	if checkIDs(clientID, uuid) != nil {
		return nil, missing(kindFrontend)
	}
	return view(ctx, s, func(r Reader) (all []FrontendRevision, err error) {
		f, err := liveFrontend(r, clientID, uuid)
		if err != nil {
			return nil, err
		}
		number := f.Number
		if before > 0 {
			number = min(number, before-1)
		}
		for ; number > 0 && (limit == 0 || len(all) < limit); number-- {
			at := frontendRevisionKey(clientID, uuid, number)
			packed, _, err := r.Get(at)
			if isNotFound(err) { // kept no longer
				break
			}
			if err != nil {
				return nil, err
			}
			one, err := readFrontendRevision(at, packed)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
		return all, nil
	})
}

// FrontendRevision returns one revision, or ErrNotFound.
func (s *Store) FrontendRevision(ctx context.Context, clientID, uuid string, number uint64) (FrontendRevision, error) {
	if checkIDs(clientID, uuid) != nil {
		return FrontendRevision{}, missing(kindFrontend)
	}
	return view(ctx, s, func(r Reader) (FrontendRevision, error) {
		if _, err := liveFrontend(r, clientID, uuid); err != nil {
			return FrontendRevision{}, err
		}
		at := frontendRevisionKey(clientID, uuid, number)
		packed, _, err := r.Get(at)
		if err != nil {
			return FrontendRevision{}, err
		}
		return readFrontendRevision(at, packed)
	})
}

// SettingsDiffer lists the fields in which the settings of two frontends differ, as an audit record does.
func SettingsDiffer(a, b Frontend) (AuditChange, error) {
	before, err := json.Marshal(a.settings())
	if err != nil {
		return AuditChange{}, err
	}
	after, err := json.Marshal(b.settings())
	if err != nil {
		return AuditChange{}, err
	}
	change := AuditChange{Kind: kindFrontend, ID: b.UUID}
	change.Before, change.After, err = difference(before, after)
	return change, err
}
