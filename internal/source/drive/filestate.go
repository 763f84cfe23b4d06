package drive

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// FileState is a State in a file of its own: one record per line, behind its checksum.
//
//	5e5d1a3b {"version":1,…}
//	c0ffee00 {"steps":…}
//
// A last line that is not whole was being written when the machine stopped; its Append never returned, so it
// is dropped. Any other damage is an error. One process may use the file at a time.
type FileState struct {
	path string

	mu   sync.Mutex
	file *os.File // open for appending, or nil
	size int64    // of what is whole
}

// NewFileState returns the state kept in the file at path, which need not exist yet. Its folder must.
func NewFileState(path string) *FileState { return &FileState{path: path} }

// Load reads the file.
func (s *FileState) Load() ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var records [][]byte
	s.size = 0
	for rest := data; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		record, ok := check(line)
		switch {
		case whole && ok:
		case len(after) == 0: // the last
			return records, nil
		default:
			return nil, fmt.Errorf("%s is damaged in line %d: restore it, or remove it to begin with the folder as it is", s.path, len(records)+1)
		}
		records = append(records, record)
		rest = after
		s.size += int64(len(line)) + 1
	}
	return records, nil
}

// check returns the record of a line, if its checksum is right.
func check(line []byte) ([]byte, bool) {
	const width = 8
	if len(line) < width+1 || line[width] != ' ' {
		return nil, false
	}
	var sum [width / 2]byte
	if _, err := hex.Decode(sum[:], line[:width]); err != nil {
		return nil, false
	}
	record := line[width+1:]
	return record, sum == checksum(record)
}

func checksum(record []byte) (sum [4]byte) {
	crc := crc32.Checksum(record, crc32.MakeTable(crc32.Castagnoli))
	return [4]byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)} //nolint:gosec // the four bytes of it
}

func appendLine(dst, record []byte) []byte {
	sum := checksum(record)
	dst = append(hex.AppendEncode(dst, sum[:]), ' ')
	return append(append(dst, record...), '\n')
}

// Append adds a record and syncs the file.
func (s *FileState) Append(record []byte) error {
	if bytes.IndexByte(record, '\n') >= 0 {
		return errors.New("a record is one line")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return err
	}
	line := appendLine(nil, record)
	_, err := s.file.WriteAt(line, s.size)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil { // what is half written is cut off when the file is opened again
		return errors.Join(err, s.close())
	}
	s.size += int64(len(line))
	return nil
}

// open opens the file and cuts off what is not whole.
func (s *FileState) open() error {
	if s.file != nil {
		return nil
	}
	file, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := file.Truncate(s.size); err != nil {
		return errors.Join(err, file.Close())
	}
	s.file = file
	return nil
}

// Replace writes a new file beside the old one, syncs it, and puts it in its place.
func (s *FileState) Replace(record []byte) error {
	if bytes.IndexByte(record, '\n') >= 0 {
		return errors.New("a record is one line")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.close(); err != nil { // an open file cannot be replaced on some systems
		return err
	}
	fresh, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".new-")
	if err != nil {
		return err
	}
	line := appendLine(nil, record)
	_, err = fresh.Write(line)
	if err == nil {
		err = fresh.Sync()
	}
	err = errors.Join(err, fresh.Close())
	if err == nil {
		err = os.Rename(fresh.Name(), s.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(fresh.Name()))
	}
	s.size = int64(len(line))
	return syncDir(filepath.Dir(s.path))
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // where folders cannot be synced, and need not be
		return nil
	}
	f, err := os.Open(dir) //nolint:gosec // the folder is the operator's choice
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close lets go of the file.
func (s *FileState) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close()
}

func (s *FileState) close() error {
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	return file.Close()
}
