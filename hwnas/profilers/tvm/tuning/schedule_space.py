"""The schedules that a search chooses from: TVM's rules, where they are worth their time."""

from typing import Any

from hwnas.profilers.tvm.target import Target


def schedule_space(target: Target) -> Any:
    """Returns MetaSchedule's generator of schedules for a target."""
    from tvm.s_tir import meta_schedule as ms

    if target.kind == "cuda":
        return ms.space_generator.PostOrderApply(sch_rules="cuda", postprocs="cuda", mutator_probs="cuda")
    return _cpu_space(target.threads)


def _cpu_space(threads: int) -> Any:
    """TVM's rules for CPUs; loops become parallel only where there is more than one thread."""
    from tvm.s_tir import meta_schedule as ms

    rule, post, mutate = ms.schedule_rule, ms.postproc, ms.mutator
    jobs = 16 if threads > 1 else -1
    mutators = {
        mutate.MutateTileSize(): 0.9,
        mutate.MutateComputeLocation(): 0.05,
        mutate.MutateUnroll(): 0.03,
    }
    if threads > 1:
        mutators[mutate.MutateParallel(max_jobs_per_core=jobs)] = 0.02
    return ms.space_generator.PostOrderApply(
        sch_rules=[
            rule.ApplyCustomRule(),
            rule.InlineConstantScalars(),
            rule.AutoInline(
                into_producer=False,
                into_consumer=True,
                inline_const_tensor=True,
                disallow_if_then_else=True,
                require_injective=True,
                require_ordered=True,
                disallow_op=["tirx.exp"],
            ),
            rule.AddRFactor(max_jobs_per_core=16, max_innermost_factor=64),
            rule.MultiLevelTiling(
                structure="SSRSRS",
                max_innermost_factor=64,
                reuse_write=rule.ReuseType(req="may", levels=[1, 2], scope="global"),
            ),
            rule.ParallelizeVectorizeUnroll(
                max_jobs_per_core=jobs,
                max_vectorize_extent=64,
                unroll_max_steps=[0, 16, 64, 512],
                unroll_explicit=True,
            ),
            rule.RandomComputeLocation(),
        ],
        postprocs=[
            post.DisallowDynamicLoop(),
            post.RewriteParallelVectorizeUnroll(),
            post.RewriteReductionBlock(),
            post.RewriteLayout(),
        ],
        mutator_probs=mutators,
    )
