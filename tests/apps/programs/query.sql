create table points(id integer primary key, a integer, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 900000)
  insert into points select i, (i * 7919) % 10007, printf('%08x', i * 2654435761 % 4294967296) from n;
create index by_a on points(a);
select count(*), sum(a), min(b), max(b) from points;
select a, count(*), group_concat(substr(b, 1, 2), '') from points group by a having a % 1000 = 3 order by a;
select count(*) from points x join points y on y.id = (x.a * 37) % 900000 + 1 where y.b > x.b;
