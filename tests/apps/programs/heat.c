// Heat in a plate, in rows over MPI processes: exchange of borders, reductions, a gather, one-sided
// puts and a broadcast. Argument: steps.
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kWidth = 600, kRows = 150, kReport = 100 };

static double plate[2][kRows + 2][kWidth];

static void exchange(double (*now)[kWidth], int up, int down) {
  MPI_Request requests[4];
  MPI_Irecv(now[0], kWidth, MPI_DOUBLE, up, 1, MPI_COMM_WORLD, &requests[0]);
  MPI_Irecv(now[kRows + 1], kWidth, MPI_DOUBLE, down, 2, MPI_COMM_WORLD, &requests[1]);
  MPI_Isend(now[1], kWidth, MPI_DOUBLE, up, 2, MPI_COMM_WORLD, &requests[2]);
  MPI_Isend(now[kRows], kWidth, MPI_DOUBLE, down, 1, MPI_COMM_WORLD, &requests[3]);
  MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
}

static double step(double (*now)[kWidth], double (*next)[kWidth]) {
  double change = 0;
  for (int y = 1; y <= kRows; y++) {
    for (int x = 1; x < kWidth - 1; x++) {
      next[y][x] = now[y][x] + 0.2 * (now[y - 1][x] + now[y + 1][x] + now[y][x - 1] +
                                      now[y][x + 1] - 4 * now[y][x]);
      change += fabs(next[y][x] - now[y][x]);
    }
    next[y][0] = now[y][0];
    next[y][kWidth - 1] = now[y][kWidth - 1];
  }
  return change;
}

static void report(int rank, int size, int number, double change, double (*now)[kWidth]) {
  static double all[16][kWidth];
  double total = 0;
  MPI_Allreduce(&change, &total, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  MPI_Gather(now[kRows / 2], kWidth, MPI_DOUBLE, all, kWidth, MPI_DOUBLE, 0, MPI_COMM_WORLD);
  if (rank != 0) return;
  double sum = 0;
  for (int i = 0; i < size; i++)
    for (int x = 0; x < kWidth; x++) sum += all[i][x] * (x + 1);
  printf("%d %.17g %.17g\n", number, total, sum);
  fflush(stdout);
}

// Everybody puts a number into everybody's window.
static void one_sided(int rank, int size) {
  long* window;
  MPI_Win handle;
  MPI_Win_allocate(size * (MPI_Aint)sizeof(long), sizeof(long), MPI_INFO_NULL, MPI_COMM_WORLD,
                   &window, &handle);
  MPI_Win_fence(0, handle);
  for (int other = 0; other < size; other++) {
    long value = rank * 100 + other;
    MPI_Put(&value, 1, MPI_LONG, other, rank, 1, MPI_LONG, handle);
    MPI_Win_fence(0, handle);
  }
  long sum = 0, total = 0;
  for (int i = 0; i < size; i++) sum += window[i];
  MPI_Reduce(&sum, &total, 1, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) printf("one-sided %ld\n", total);
  MPI_Win_free(&handle);
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank, size, steps = argc > 1 ? atoi(argv[1]) : 1000;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int up = rank > 0 ? rank - 1 : MPI_PROC_NULL, down = rank < size - 1 ? rank + 1 : MPI_PROC_NULL;
  for (int y = 0; y < kRows + 2; y++)
    for (int x = 0; x < kWidth; x++)
      plate[0][y][x] = (rank * kRows + y) % 97 == 0 ? 100 : (x * 7 + y * 3) % 11;
  memcpy(plate[1], plate[0], sizeof plate[0]);
  MPI_Bcast(&steps, 1, MPI_INT, 0, MPI_COMM_WORLD);
  for (int number = 1; number <= steps; number++) {
    double(*now)[kWidth] = plate[(number + 1) % 2];
    exchange(now, up, down);
    double change = step(now, plate[number % 2]);
    if (number % kReport == 0) report(rank, size, number, change, now);
  }
  one_sided(rank, size);
  MPI_Finalize();
  return 0;
}
