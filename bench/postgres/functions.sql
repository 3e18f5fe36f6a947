-- What driver.js calls. :lib is the module's path.
CREATE FUNCTION bench_run(workload text, a bigint, b bigint, effort float8[]) RETURNS float8[]
  AS :'lib', 'bench_run' LANGUAGE C STRICT;
CREATE FUNCTION bench_area_create() RETURNS bigint AS :'lib', 'bench_area_create' LANGUAGE C STRICT;
CREATE FUNCTION bench_area_attach(area bigint) RETURNS bigint AS :'lib', 'bench_area_attach' LANGUAGE C STRICT;
CREATE FUNCTION bench_area_run(work text, start_at float8, milliseconds float8, seed bigint, live bigint) RETURNS float8
  AS :'lib', 'bench_area_run' LANGUAGE C STRICT;
CREATE FUNCTION bench_area_leave(creator boolean) RETURNS bigint AS :'lib', 'bench_area_leave' LANGUAGE C STRICT;
