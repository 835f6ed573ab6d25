// Timers, promises, buffers, worker pool (crypto in threads): the digest depends on all of them.
const crypto = require('crypto');
const util = require('util');
const pbkdf2 = util.promisify(crypto.pbkdf2);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const rounds = Number(process.argv[2] || 100);

async function main() {
  const digest = crypto.createHash('sha256');
  let block = Buffer.alloc(4 << 20, 'seed');
  let ticks = 0;
  const ticking = setInterval(() => { ticks++; }, 5);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < block.length; i += 64) block.writeUInt32LE((i * 2654435761 + round) >>> 0, i);
    const keys = await Promise.all([1, 2, 3].map((n) => pbkdf2('pw' + n, 'salt' + round, 2000, 32, 'sha256')));
    keys.forEach((key) => digest.update(key));
    digest.update(block);
    const objects = Array.from({ length: 5000 }, (_, i) => ({ i, text: 'x'.repeat(i % 50) }));
    digest.update(String(objects.reduce((sum, o) => sum + o.i * o.text.length, 0)));
    await sleep(3);
  }
  clearInterval(ticking);
  console.log(`rounds ${rounds} digest ${digest.digest('hex')} ${ticks > 0}`);
}
main();
