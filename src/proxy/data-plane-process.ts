import { runDataPlane } from './data-plane.ts';

runDataPlane();
