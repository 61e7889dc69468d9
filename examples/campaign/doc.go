// Campaign checks the From and To of every call in a file before the first call is placed.
//
//	campaign -csv calls.csv -out checked.csv
//	campaign -ndjson - < calls.ndjson
//
// A CSV file must start with a header that names the columns from and to, in any order and any
// case. Commas, semicolons or tabs separate its columns. An NDJSON file has one JSON object per
// line, with the fields from and to in any case. Both must be UTF-8.
//
// With -out, campaign writes every row in the order of the input, and replaces what the file held
// before. Blank lines are left out. A row keeps its text, and six columns or fields are added:
//
//	verdict     accepted or refused
//	codes       Twilio's error code for each problem
//	rules       the rule for each problem
//	fixes       what to write in from or to instead, if there is exactly one candidate
//	line        the line of the input where the row starts, counted from 1
//	unreadable  the text of a row that cannot be read; its other columns are empty
//
// If the input has columns or fields with these names, in any case, they are replaced: a checked
// file can be checked again. Its rows are written anew, which can change their quotes, the white
// space between fields, and line ends inside a column.
//
// If campaign cannot read a row, it refuses the row with one of its own rules:
//
//	row.syntax   the row is malformed, or was unreadable when the file was checked before
//	row.columns  the row has more or fewer columns than the header
//
// A quote that is not closed makes one row of all that follows, up to the next quote. Campaign
// stops at a row of more than 1 MiB.
//
// The summary goes to standard output, or to standard error if -out is "-". It counts the problems
// by rule, and the warnings of the accepted rows: what Twilio accepts and a person should know. It
// names the first five lines for each rule. Warnings of phone numbers take most of the time.
//
// The exit code is 0 if every row was accepted, 1 if some rows were refused, and 2 if campaign did
// not check the whole input because of wrong usage, a row of more than 1 MiB, an I/O error or an
// interrupt. If it stops in the middle of the input, the error names the last row that was written,
// and the output ends with that row.
package main
