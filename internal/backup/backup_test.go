package backup

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// What is written is read, however large the records are, and what is cut off anywhere is refused.
func TestBackupIsReadWhole(t *testing.T) {
	head := Head{Version: "1.2.3", At: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)}
	files := []File{{AuthorityName, []byte("certificate")}, {MasterKeyName, bytes.Repeat([]byte("k"), 64)}}
	source := rand.NewChaCha8([32]byte{1})
	for _, n := range []int{0, 1, partSize - 1, partSize, partSize + 1, 3*partSize + 17} {
		records := make([]byte, n)
		source.Read(records)
		var b bytes.Buffer
		err := Write(&b, head, files, func(w io.Writer) error {
			for rest := records; len(rest) > 0; { // in pieces that fit to nothing
				k := min(len(rest), 7919)
				if _, err := w.Write(rest[:k]); err != nil {
					return err
				}
				rest = rest[k:]
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		load := func(_ Head, r io.Reader) (err error) {
			got, err = io.ReadAll(r)
			return err
		}
		said, kept, err := Read(bytes.NewReader(b.Bytes()), load)
		if err != nil || said.Version != head.Version || !said.At.Equal(head.At) || len(kept) != 2 || string(kept[0].Data) != "certificate" || kept[1].Name != MasterKeyName {
			t.Errorf("%d bytes: got %+v, %d files, %v, want what was written", n, said, len(kept), err)
		}
		if !bytes.Equal(got, records) {
			t.Errorf("%d bytes: the records are others", n)
		}
		for _, cut := range []int{0, 10, 512, 1500, b.Len() / 2, b.Len() - 2048} {
			if _, kept, err := Read(bytes.NewReader(b.Bytes()[:cut]), load); err == nil && len(kept) == 2 {
				t.Errorf("%d bytes, cut off after %d of %d: it was taken for a whole one", n, cut, b.Len())
			}
		}
	}
}

// A form of later is named, with who made it.
func TestLaterFormIsRefused(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, Head{Version: "9"}, nil, func(io.Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	later := bytes.Replace(b.Bytes(), []byte(`"format":1`), []byte(`"format":2`), 1)
	_, _, err := Read(bytes.NewReader(later), func(Head, io.Reader) error { return nil })
	if err == nil || err.Error() != "this backup was made by xlb 9 in form 2, and this one knows form 1" {
		t.Errorf("got %v, want who made it and what is known", err)
	}
	if _, _, err := Read(bytes.NewReader([]byte("hello")), nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}
