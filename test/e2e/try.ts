import { Cluster } from './cluster-harness.ts';
const t=performance.now();
const c = await Cluster.start();
console.log('up', performance.now()-t, c.directory);
console.log((await c.query('create table t (id int); ')).command);
for (let i=0;i<5;i++){const s=performance.now(); await c.query(`insert into t values (${i})`); console.log('insert', performance.now()-s);}
await c.writer.kill();
const s=performance.now(); c.writer.start(); await c.writerReady(); console.log('reopen', performance.now()-s);
console.log((await c.query('select * from t')).rows);
await c.destroy();
