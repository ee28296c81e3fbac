package tcpclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// runInteractive sends the lines of standard input, of any length, each in one piece as
// far as the buffer goes, and prints the replies.
func runInteractive(cfg config, std streams) error {
	return talk(cfg, std.out, func(_ context.Context, w io.Writer) error {
		input := bufio.NewReaderSize(std.in, 64<<10)
		for {
			line, inputErr := input.ReadSlice('\n')
			if len(line) > 0 {
				if _, err := w.Write(line); err != nil {
					return err
				}
			}
			switch {
			case inputErr == io.EOF:
				return nil
			case inputErr != nil && !errors.Is(inputErr, bufio.ErrBufferFull):
				return inputError{fmt.Errorf("read standard input: %w", inputErr)}
			}
		}
	})
}
