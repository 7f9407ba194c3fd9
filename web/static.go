package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/xdire/xlb/static"
)

// serveStatic answers a file whose URL holds the hash of its content, so it never changes.
func (s *Server) serveStatic(w http.ResponseWriter, r *http.Request) {
	asset, ok := static.Lookup(strings.TrimPrefix(r.URL.Path, static.Prefix))
	if !ok {
		s.pages.Error(w, r, http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", asset.ContentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", asset.ETag)
	h.Set("Vary", "Accept-Encoding") // a cache in between must not give what is compressed to who cannot read it
	if strings.Contains(r.Header.Get("If-None-Match"), asset.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := asset.Data
	if len(asset.Gzip) > 0 && acceptsGzip(r) {
		body = asset.Gzip // made once, at the start: files change with the build only
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// acceptsGzip reads Accept-Encoding; q=0 means no.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
			return err != nil || q > 0
		}
	}
	return false
}
