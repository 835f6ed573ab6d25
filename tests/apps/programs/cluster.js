// Node's cluster: workers that share a listening socket and get connections passed by the primary,
// which is also their client. Argument: requests.
const cluster = require('cluster');
const http = require('http');

const total = Number(process.argv[2]), workers = 3, atOnce = 8;

function work() {
  http.createServer((request, response) => {
    let value = Number(request.url.slice(1));
    for (let i = 0; i < 20000; i++) value = (value * 31 + i) % 1000003;
    response.end(`${value}\n`);
  }).listen(0, '127.0.0.1');
  process.on('message', text => process.send({echo: text}));
}

function ask(port, number) {
  return new Promise((resolve, reject) => {
    http.get({host: '127.0.0.1', port, path: `/${number}`, agent: false}, response => {
      let body = '';
      response.on('data', part => { body += part; });
      response.on('end', () => resolve(Number(body)));
    }).on('error', reject);
  });
}

async function primary() {
  let echoes = 0;
  const ready = Array.from({length: workers}, () => new Promise(resolve => {
    const worker = cluster.fork();
    worker.on('listening', address => resolve(address.port));
    worker.on('message', () => { echoes++; });
  }));
  const [port] = await Promise.all(ready);
  let sum = 0;
  for (let first = 0; first < total; first += atOnce) {
    const asked = Array.from({length: atOnce}, (_, i) => ask(port, first + i));
    for (const value of await Promise.all(asked)) sum = (sum * 31 + value) % 1000003;
    for (const worker of Object.values(cluster.workers)) worker.send(`${first}`);
    if (first % 80 === 0) console.log(first, sum);
  }
  while (echoes < workers * Math.ceil(total / atOnce)) await new Promise(r => setTimeout(r, 5));
  const ended = new Promise(resolve => {
    let left = workers;
    cluster.on('exit', (_, code) => { console.log('exit', code); if (--left === 0) resolve(); });
  });
  for (const worker of Object.values(cluster.workers)) worker.disconnect();
  await ended;
  console.log(sum, echoes);
}

if (cluster.isPrimary) primary(); else work();
