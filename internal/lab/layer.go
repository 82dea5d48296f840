package lab

import (
	"archive/tar"
	"io"
	"strings"
	"time"
)

// A file is one entry of an image's file system: a directory if its name ends in a slash, a link if it has a target.
type file struct {
	name   string
	mode   int64
	target string
	data   []byte
}

// writeTar writes files so that the same files always give the same bytes.
func writeTar(w io.Writer, files []file) error {
	archive := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), Linkname: f.target, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
		switch {
		case strings.HasSuffix(f.name, "/"):
			header.Typeflag = tar.TypeDir
		case f.target != "":
			header.Typeflag = tar.TypeSymlink
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(f.data); err != nil {
			return err
		}
	}
	return archive.Close()
}
