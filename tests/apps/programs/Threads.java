import java.util.*;
import java.util.concurrent.*;

/** Threads, garbage, locks, exceptions, timed waits; compiled code that goes on being compiled. */
public class Threads {
    static long work(long seed, int rounds) throws Exception {
        long hash = seed;
        Map<Long, String> map = new HashMap<>();
        for (int i = 0; i < rounds; i++) {
            hash = hash * 6364136223846793005L + 1442695040888963407L;
            map.put(hash & 4095, Long.toString(hash, 36));
            if ((hash & 1023) == 7) {
                try {
                    throw new IllegalStateException(map.get(hash & 4095));
                } catch (IllegalStateException thrown) {
                    hash ^= thrown.getMessage().hashCode();
                }
            }
            if ((i & 65535) == 0) Thread.sleep(1);
        }
        for (long key = 0; key < 4096; key++) hash = hash * 31 + Objects.hashCode(map.get(key));
        return hash;
    }

    public static void main(String[] arguments) throws Exception {
        int rounds = Integer.parseInt(arguments[0]);
        ExecutorService pool = Executors.newFixedThreadPool(6);
        List<Future<Long>> results = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            final long seed = i;
            results.add(pool.submit(() -> work(seed, rounds)));
        }
        long total = 0;
        for (Future<Long> result : results) total = total * 31 + result.get();
        pool.shutdown();
        boolean ended = pool.awaitTermination(10, TimeUnit.SECONDS);
        System.gc();
        System.out.println("total " + Long.toHexString(total) + " " + ended);
    }
}
