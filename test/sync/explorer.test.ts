import { expect, test } from 'vitest';
import { explore, finish, LOCK, type Run, type Scenario, type World } from './explorer.js';
import type { Participant } from '../../dist/sync/participant.js';

type Code = Record<string, (...args: unknown[]) => Run>;
const EX = 0;
const SH = 1;
let inside = { ex: 0, sh: 0 };
function* cs(w: World, mode: number): Run {
  if (inside.ex > 0 || (mode === EX && inside.sh > 0)) throw new Error('two in the critical section');
  mode === EX ? inside.ex++ : inside.sh++;
  yield;
  mode === EX ? inside.ex-- : inside.sh--;
}
const locker = (mode: number, times = 1) => function* (w: World, p: Participant): Run {
  const c = w.code as unknown as Code;
  for (let k = 0; k < times; k++) {
    const got = yield* c['lwlockAcquire']!(p, w.memory, LOCK, 0, mode);
    w.mark(p, k*10+1);
    if (got === 0) continue;
    yield* cs(w, mode);
    yield* c['lwlockRelease']!(p, w.memory, LOCK, 0);
    w.mark(p, k*10+2);
  }
};
const s = (modes: number[], passes = 0): Scenario => ({
  threads: modes.map((m) => locker(m)),
  setup: (w) => { inside = { ex: 0, sh: 0 }; w.memory[LOCK + 3] = passes; },
  maxStates: 4_000_000,
});
const H=(modes:number[],passes=0):Scenario=>({threads:[function*(w,p){const c=w.code as unknown as Code; yield* c['lwlockRelease']!(p,w.memory,LOCK,0);},...modes.map(m=>locker(m))],setup:(w,p)=>{inside={ex:0,sh:0};w.memory[LOCK+3]=passes;finish((w.code as unknown as Code)['lwlockAcquire']!(p[0],w.memory,LOCK,0,0));},maxStates:1e6});
test.each([[[0,0]],[[0,1]]])('%s', (modes) => {
  const t = performance.now();
  const r = explore(H(modes));
  console.log(modes, r, performance.now() - t);
  void finish;
  expect(r.fault).toBe(null);
});
