// Goroutines and calls into C, garbage collection, timers, channels.
package main

/*
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
static uint64_t mix(uint64_t value, int rounds) {
  char* scratch = malloc(256);
  memset(scratch, (int)value, 256);
  for (int i = 0; i < rounds; i++) value = (value ^ (value >> 31)) * 0x94d049bb133111ebull + (unsigned char)scratch[i & 255];
  free(scratch);
  return value;
}
*/
import "C"

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"time"
)

func worker(id int, rounds int, out chan<- uint64) {
	value := uint64(id)
	kept := map[uint64][]byte{}
	for i := 0; i < rounds; i++ {
		value = uint64(C.mix(C.uint64_t(value), 300))
		kept[value%512] = make([]byte, value%4096)
		if i%500 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	for _, block := range kept {
		value += uint64(len(block))
	}
	out <- value
}

func main() {
	rounds, _ := strconv.Atoi(os.Args[1])
	out := make(chan uint64)
	for id := 0; id < 8; id++ {
		go worker(id, rounds, out)
	}
	var results []uint64
	for id := 0; id < 8; id++ {
		results = append(results, <-out)
	}
	sort.Slice(results, func(a, b int) bool { return results[a] < results[b] })
	digest := uint64(0)
	for _, value := range results {
		digest = digest*31 + value
	}
	fmt.Printf("digest %x\n", digest)
}
