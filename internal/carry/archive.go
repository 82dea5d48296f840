package carry

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/klauspost/compress/zstd"
)

// largest is how many bytes a memory may have that travels.
const largest = 1 << 30

// How archives are compressed, in the words of actions/cache. It takes zstd wherever the runner has that program, as all hosted ones
// on Linux have.
// https://github.com/actions/toolkit/blob/main/packages/cache/src/internal/constants.ts
const (
	byZstd = "zstd-without-long"
	byGzip = "gzip"
)

// version is what actions/cache looks for the file at a path by. It hashes the path as it is written.
// https://github.com/actions/toolkit/blob/main/packages/cache/src/internal/cacheUtils.ts
func version(path, compression string) string {
	sum := sha256.Sum256([]byte(path + "|" + compression + "|1.0"))
	return hex.EncodeToString(sum[:])
}

// pack archives a memory under its name, as `tar --posix` with zstd does.
func pack(memory *os.File, name string, to io.Writer) error {
	info, err := memory.Stat()
	if err != nil {
		return err
	}
	if info.Size() > largest {
		return fmt.Errorf("it has %d bytes, and no more than %d travel", info.Size(), largest)
	}
	compressed, err := zstd.NewWriter(to)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressed)
	err = archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path.Clean(name), Mode: mode, Size: info.Size(), ModTime: info.ModTime(), Format: tar.FormatPAX})
	if err == nil {
		_, err = io.CopyN(archive, memory, info.Size())
	}
	if err == nil {
		err = archive.Close()
	}
	return errors.Join(err, compressed.Close())
}

// unpack reads from an archive the file of a name, and nothing else.
func unpack(packed io.Reader, compression, name string, to io.Writer) error {
	plain, err := decompress(packed, compression)
	if err != nil {
		return err
	}
	defer plain.Close()
	archive := tar.NewReader(plain)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("it holds no %s", name)
		}
		if err != nil {
			return err
		}
		if header.Typeflag == tar.TypeReg && path.Clean(header.Name) == path.Clean(name) {
			_, err := io.Copy(&capped{to, largest}, archive)
			return err
		}
	}
}

func decompress(packed io.Reader, compression string) (io.ReadCloser, error) {
	if compression == byGzip {
		return gzip.NewReader(packed)
	}
	plain, err := zstd.NewReader(packed, zstd.WithDecoderMaxWindow(longestWindow))
	if err != nil {
		return nil, err
	}
	return plain.IOReadCloser(), nil
}

// longestWindow is how many bytes zstd may want to look back, which is what it does without --long.
const longestWindow = 8 << 20

// A capped writer takes so many bytes and no more.
type capped struct {
	io.Writer
	left int64
}

func (c *capped) Write(data []byte) (int, error) {
	if c.left -= int64(len(data)); c.left < 0 {
		return 0, fmt.Errorf("it is larger than %d bytes", largest)
	}
	return c.Writer.Write(data)
}
