// Loop is the program that campaign's speed is compared with. In one goroutine, it reads the from
// and to columns of a CSV file and counts the values that phonenumbers considers possible numbers.
package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/nyaruka/phonenumbers/v2"
)

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	rows := csv.NewReader(file)
	rows.ReuseRecord = true
	possible := 0
	for {
		row, err := rows.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		for _, value := range row[:2] {
			number, err := phonenumbers.Parse(value, "ZZ")
			if err == nil && phonenumbers.IsPossibleNumber(number) {
				possible++
			}
		}
	}
	fmt.Println(possible, "possible numbers")
}
