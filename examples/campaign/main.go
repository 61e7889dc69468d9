package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"example.com/callparams"
)

func main() {
	c := campaign{totals: totals{rules: tally{}, warnings: tally{}}}
	csvName := flag.String("csv", "", "check the CSV `file`, - for standard input")
	ndjsonName := flag.String("ndjson", "", "check the NDJSON `file`, - for standard input")
	outName := flag.String("out", "",
		"write each row with its verdict to `file`, - for standard output;\n"+
			"it shows phone numbers and names in the clear")
	flag.TextVar(&c.parser.Numbers, "numbers", callparams.Possible,
		"check phone numbers at this `level`: shape, possible or assigned")
	flag.BoolVar(&c.parser.Emergency, "emergency", false, "accept emergency numbers")
	flag.TextVar(&c.parser.Destinations, "destinations", callparams.Destinations{},
		"accept only the phone numbers in To that this `list` of prefixes allows,\n"+
			`such as "+1 !+1900"`)
	flag.Usage = usage
	flag.Parse()
	if (*csvName == "") == (*ndjsonName == "") || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "campaign: exactly one of -csv and -ndjson must be given; "+
			"arguments besides flags are not allowed\nRun campaign -h for help.")
		os.Exit(2)
	}

	err := c.run(cmp.Or(*csvName, *ndjsonName), *csvName != "", *outName)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "campaign:", err)
		os.Exit(2)
	case c.refused > 0:
		os.Exit(1)
	}
}

//go:embed doc.go
var doc string

// usage prints the package comment and the flags.
func usage() {
	text, _, _ := strings.Cut(doc, "package main")
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimPrefix(line, "//"), " ")
		fmt.Fprint(flag.CommandLine.Output(), line)
	}
	fmt.Fprint(flag.CommandLine.Output(), "\nFlags:\n\n")
	flag.PrintDefaults()
}

// A campaign checks the rows of a file and counts what it finds.
type campaign struct {
	parser callparams.Parser
	totals
}

// run checks the file called name. It waits for other goroutines to read the input, so that an
// interrupt ends it between two rows, also if no input comes. A second interrupt ends the program
// at once.
func (c *campaign) run(name string, isCSV bool, outName string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	opened := make(chan input, 1)
	go func() { opened <- open(name, isCSV) }()
	in, err := wait(ctx, opened)
	if err == nil {
		err = in.err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	out, err := create(outName, in.file)
	if err != nil {
		return err
	}

	bar := newBar(in.file)
	if err = write(out, in.header); err == nil {
		err = c.checkAll(ctx, in.rows, out, bar)
	}
	_ = bar.Clear()
	if err = errors.Join(err, out.Close()); err != nil {
		err = fmt.Errorf("%s: stopped after row %d (line %d): %w", name, c.rows, c.line, err)
	}
	if outName == "-" {
		return errors.Join(c.print(os.Stderr, false), err)
	}
	return errors.Join(c.print(os.Stdout, outName == ""), err)
}

// wait returns the next value of a channel, unless ctx ends first.
func wait[T any](ctx context.Context, values <-chan T) (value T, err error) {
	select {
	case <-ctx.Done():
		return value, errors.New("interrupted")
	case value = <-values:
		return value, nil
	}
}

// create opens the file that the rows are written to. If name is empty, the rows are discarded.
func create(name string, in *os.File) (*os.File, error) {
	if name == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	source, err := in.Stat()
	if err != nil {
		return nil, err
	}
	target, err := os.Stdout.Stat()
	if name != "-" {
		target, err = os.Stat(name)
	}
	if err == nil && source.Mode().IsRegular() && os.SameFile(source, target) {
		return nil, fmt.Errorf("%s: -out is the input file; choose another file", name)
	}
	if name == "-" {
		return os.Stdout, nil
	}
	return os.Create(name)
}

// write writes the whole row or, if the output is a regular file, nothing.
func write(out *os.File, row string) error {
	n, err := out.WriteString(row)
	if err == nil || n == 0 {
		return err
	}
	end, cutErr := out.Seek(0, io.SeekCurrent)
	if cutErr == nil {
		cutErr = out.Truncate(end - int64(n))
	}
	if cutErr != nil {
		return fmt.Errorf("%w; the output has %d bytes of the next row: %w", err, n, cutErr)
	}
	return err
}

// checkAll checks the rows and writes them in the order of the input.
func (c *campaign) checkAll(
	ctx context.Context, rows rows, out *os.File, bar *progressbar.ProgressBar,
) error {
	queue := c.start(rows)
	for {
		next, err := wait(ctx, queue)
		if err != nil {
			return err
		}
		r := <-next
		if errors.Is(r.err, io.EOF) {
			return nil
		}
		if r.err != nil {
			return r.err
		}
		if err := write(out, r.text); err != nil {
			return err
		}
		c.add(r)
		_ = bar.Add(r.size)
	}
}

// start reads the rows in one goroutine and checks each in another, because the warnings of phone
// numbers take ten times as long as all else. The results come in the order of the rows, and the
// last one has an error.
func (c *campaign) start(rows rows) <-chan chan result {
	queue := make(chan chan result, 4*runtime.GOMAXPROCS(0)) // few, as a row can have 1 MiB
	go func() {
		for {
			row, err := rows.next()
			next := make(chan result, 1)
			queue <- next
			if err != nil {
				next <- result{err: err}
				return
			}
			go func() { next <- c.check(row, rows) }()
		}
	}()
	return queue
}

// newBar returns a bar that counts the checked bytes. It is visible only in a terminal.
func newBar(in *os.File) *progressbar.ProgressBar {
	size := int64(-1) // unknown, as for a pipe
	if info, err := in.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetVisibility(term.IsTerminal(int(os.Stderr.Fd()))),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		// 0 stops the goroutine that would draw over the summary.
		progressbar.OptionSetSpinnerChangeInterval(0),
	)
}
