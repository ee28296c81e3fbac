package scorecard

import "os"

// Colour tells whether to write colours to f: it is a terminal, the user has not
// set NO_COLOR (see no-color.org; an empty value does not count), and TERM is not
// "dumb". Any character device but the null device is taken for a terminal, since
// the standard library cannot ask. A nil f is none.
func Colour(f *os.File) bool {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
