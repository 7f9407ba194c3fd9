package system

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unpackTar writes what is in a .tar.gz into a folder.
func unpackTar(t *testing.T, path, dir string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(zipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(dir, header.Name)
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(target, 0o700)
		} else {
			var content []byte
			if content, err = io.ReadAll(files); err == nil {
				err = os.WriteFile(target, content, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A data directory that an earlier version wrote opens with this one and keeps everything. The folder testdata
// has one for each version that wrote something new; none of them is ever changed.
func TestOlderDataIsKept(t *testing.T) {
	archives, err := filepath.Glob("testdata/data-*.tar.gz")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, archive := range archives {
		t.Run(filepath.Base(archive), func(t *testing.T) {
			dir := t.TempDir()
			unpackTar(t, archive, dir)
			var kept struct{ UUID, Key, Frontend, Revoked string }
			text, err := os.ReadFile(filepath.Join(dir, "kept.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &kept); err != nil {
				t.Fatal(err)
			}
			s := start(t, filepath.Join(dir, "data"))
			for range 2 { // and again, with what this version has written
				c := &tenant{s: s, uuid: kept.UUID, key: kept.Key}
				c.logIn()
				path := "/api/v1/client/frontend/" + kept.Frontend
				f := s.call("GET", path, c.auth, nil).json(t)
				routes, _ := f["routes"].([]any)
				if f["name"] != "kept" || f["strategy"] != 1.0 || f["maxConnections"] != 7.0 || f["ejectOn"] != "connect" || len(routes) != 2 {
					t.Errorf("the frontend is %v", f)
				}
				if route := routes[0].(map[string]any); route["dest"] != "127.0.0.1:9" || route["capacity"] != 3.0 || route["weight"] != 2.0 {
					t.Errorf("its first route is %v", route)
				}
				certificates, _ := s.call("GET", path+"/certificates", c.auth, nil).json(t)["items"].([]any)
				revoked := 0
				for _, one := range certificates {
					if record := one.(map[string]any); record["revoked"] == true && record["reason"] == "key-compromise" && strings.EqualFold(record["serial"].(string), kept.Revoked) {
						revoked++
					}
				}
				if len(certificates) < 2 || revoked != 1 {
					t.Errorf("the certificates are %v", certificates)
				}
				c.bundle(kept.Frontend) // and new ones can be issued
				s.stop()
				s.run()
			}
		})
	}
}
