// SPDX-License-Identifier: GPL-2.0-or-later
//
// C++ without exceptions: a virtual function, a template, a static local with a guard, inline functions
// that every unit has a copy of. The tables of virtual functions and the guards are those of the
// running program; the new code must not bring others along.
//
// This is what case.h wants, but that is C.
#include <cstdint>
#include <string>
#include <vector>

#ifndef FIXED
#define FIXED 0
#endif
#define NOINLINE __attribute__((noipa))

struct victim;
extern "C" {
void case_setup(victim *);
bool case_ask();
bool case_work();
}

namespace {

int made; /* how often the static local was made */

struct Registry {
        std::vector<std::string> names;

        Registry() : names{ "one", "two" } { made++; }
};

} // namespace

class Shape {
public:
        virtual ~Shape() = default;
        virtual int area() const;
        virtual int twice() const { return area() * 2; }
        int side = 7;
};

NOINLINE int Shape::area() const
{
        return side * side + (FIXED ? 1000 : 0);
}

class Square final : public Shape {
public:
        int twice() const override { return area() * 2 + 1; }
};

template <typename Value> NOINLINE Value subject_largest(const std::vector<Value> &values)
{
        Value largest = values.front();

        for (const Value &value : values)
                if (largest < value)
                        largest = value;
        return largest + (FIXED ? Value(1) : Value(0));
}

NOINLINE Registry &subject_registry()
{
        static Registry registry;

#if FIXED
        if (registry.names.size() < 3)
                registry.names.push_back("three");
#endif
        return registry;
}

NOINLINE Shape *subject_make(bool square)
{
        if (square)
                return new Square;
        Shape *shape = new Shape;
        shape->side = FIXED ? 9 : 7;
        return shape;
}

static Shape *kept;

void case_setup(victim *)
{
        kept = new Square; // made by the old code, asked by the new
        subject_registry();
}

bool case_ask()
{
        return kept->area() > 1000;
}

bool case_work()
{
        Shape *shape = subject_make(true), *plain = subject_make(false);
        const std::vector<int> numbers{ 3, 9, 5 };
        const int area = shape->area(), largest = subject_largest(numbers);
        bool fine = (area == 49 || area == 1049) && (largest == 9 || largest == 10);

        fine = fine && kept->twice() % 2 == 1 && shape->twice() % 2 == 1 && plain->twice() % 2 == 0;
        fine = fine && dynamic_cast<Square *>(shape) && !dynamic_cast<Square *>(plain);
        fine = fine && made == 1 && subject_registry().names.size() >= 2 && made == 1;
        delete shape;
        delete plain;
        return fine;
}
